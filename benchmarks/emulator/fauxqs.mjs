// Starts the peer on loopback alone: its own command listens on every address of the machine.
// usage: node fauxqs.mjs FOLDER-WITH-node_modules PORT
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, port] = process.argv.slice(2);
const entry = join(resolve(folder), "node_modules", "fauxqs", "dist", "app.js");
const { buildApp } = await import(pathToFileURL(entry));
const app = buildApp({ logger: false });
await app.listen({ port: Number(port), host: "127.0.0.1" });
console.log("listening");
