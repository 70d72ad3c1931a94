// Starts the peer on loopback alone: its own command listens on every address of the machine.
// usage: node fauxqs.mjs FOLDER-WITH-node_modules PORT
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, port] = process.argv.slice(2);
const entry = createRequire(folder + "/").resolve("fauxqs/package.json").replace("package.json", "dist/app.js");
const { buildApp } = await import(pathToFileURL(entry));
const app = buildApp({ logger: false });
await app.listen({ port: Number(port), host: "127.0.0.1" });
console.log("listening");
