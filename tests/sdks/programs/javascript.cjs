// The scenario on the JavaScript SDKs: v3 (`v3`) or v2 (`v2`). Prints what it saw. Steps as in python_sdk.py.
"use strict";

const [, , version, systemNames, endpoint] = process.argv;
const base = `${endpoint}/000000000000/orders`;
const fifo = `${base}.fifo`;
const dead = `${base}-dead`;
const BODY = 'héllo \u{1f680} "quoted" <&>\n\ttext\r';
const ARN = "arn:aws:sqs:us-east-1:000000000000";
const TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

let call, fault;
if (version === "v3") {
  const sdk = require("@aws-sdk/client-sqs");
  const client = new sdk.SQSClient({ endpoint });
  call = (operation, parameters) => client.send(new sdk[`${operation}Command`](parameters));
  fault = (e) => [
    sdk[e.name] && e instanceof sdk[e.name] ? e.name : e.constructor.name,
    e.Code,
    e.$metadata?.httpStatusCode,
  ];
} else {
  const AWS = require("aws-sdk");
  const client = new AWS.SQS({ endpoint, computeChecksums: true });
  call = (operation, parameters) => client[operation[0].toLowerCase() + operation.slice(1)](parameters).promise();
  fault = (e) => [e.name, e.code, e.statusCode];
}

const path = (url) => url.replace(endpoint, "");
const all = { MessageAttributeNames: ["All"], [systemNames]: ["All"] };
const receive = async (QueueUrl, more) => (await call("ReceiveMessage", { QueueUrl, ...more })).Messages ?? [];
const attributes = async (...AttributeNames) =>
  (await call("GetQueueAttributes", { QueueUrl: base, AttributeNames })).Attributes ?? {};
const failures = (result) => (result.Failed ?? []).map((e) => [e.Id, e.Code, e.SenderFault]).sort();
const ids = (result) => (result.Successful ?? []).map((e) => e.Id).sort();
const settleAll = (messages) => messages.map((m, n) => ({ Id: `${n}`, ReceiptHandle: m.ReceiptHandle }));
const only = (messages) => {
  if (messages.length !== 1) throw new Error(`${messages.length} messages`);
  return messages[0];
};

const steps = {
  async create() {
    const created = [
      await call("CreateQueue", {
        QueueName: "orders",
        Attributes: { VisibilityTimeout: "120", MaximumMessageSize: "2048" },
        tags: { team: "crème / 1+1=2", empty: "" },
      }),
      await call("CreateQueue", {
        QueueName: "orders.fifo",
        Attributes: { FifoQueue: "true", ContentBasedDeduplication: "true" },
      }),
      await call("CreateQueue", { QueueName: "orders-dead" }),
    ];
    return created.map((answer) => path(answer.QueueUrl));
  },
  async tags() {
    const before = (await call("ListQueueTags", { QueueUrl: base })).Tags;
    await call("UntagQueue", { QueueUrl: base, TagKeys: ["empty"] });
    await call("TagQueue", { QueueUrl: base, Tags: { k: "v" } });
    return [before, (await call("ListQueueTags", { QueueUrl: base })).Tags];
  },
  async find() {
    return path((await call("GetQueueUrl", { QueueName: "orders" })).QueueUrl);
  },
  async pages() {
    const asked = { QueueNamePrefix: "orders", MaxResults: 2 };
    const first = await call("ListQueues", asked);
    const second = await call("ListQueues", { ...asked, NextToken: first.NextToken });
    return [[...first.QueueUrls, ...second.QueueUrls].map(path).sort(), [second.NextToken ?? "end"]];
  },
  async receive_nothing() {
    return (await receive(base)).length;
  },
  async send() {
    const sent = await call("SendMessage", {
      QueueUrl: base,
      MessageBody: BODY,
      MessageAttributes: {
        text: { DataType: "String", StringValue: "grüße & <x>" },
        count: { DataType: "Number.int", StringValue: "42" },
        blob: { DataType: "Binary.png", BinaryValue: Buffer.from([0, 255, 16, 128]) },
      },
      MessageSystemAttributes: { AWSTraceHeader: { DataType: "String", StringValue: TRACE } },
    });
    return [sent.MD5OfMessageBody, sent.MD5OfMessageAttributes, sent.MD5OfMessageSystemAttributes];
  },
  async receive_all() {
    const message = only(await receive(base, { VisibilityTimeout: 0, ...all }));
    const plain = (v) => [v.DataType, v.StringValue ?? Buffer.from(v.BinaryValue).toString("base64")];
    return {
      body: message.Body,
      md5: [message.MD5OfBody, message.MD5OfMessageAttributes],
      attributes: Object.fromEntries(Object.entries(message.MessageAttributes).map(([name, v]) => [name, plain(v)])),
      facts: Object.keys(message.Attributes).sort(),
      trace: message.Attributes.AWSTraceHeader,
      count: message.Attributes.ApproximateReceiveCount,
    };
  },
  async settle() {
    const first = only(await receive(base));
    const hidden = (await receive(base)).length;
    const back = { QueueUrl: base, ReceiptHandle: first.ReceiptHandle, VisibilityTimeout: 0 };
    await call("ChangeMessageVisibility", back);
    const again = only(await receive(base));
    await call("DeleteMessage", { QueueUrl: base, ReceiptHandle: again.ReceiptHandle });
    const left = await attributes("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible");
    return [hidden, first.MessageId === again.MessageId, Object.values(left).sort()];
  },
  async long_poll() {
    const start = performance.now();
    const waiting = receive(base, { WaitTimeSeconds: 15 });
    waiting.catch(() => {}); // it is awaited below, if all goes well
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await call("SendMessage", { QueueUrl: base, MessageBody: "late" });
    const message = only(await waiting);
    const prompt = performance.now() - start < 10_000;
    await call("DeleteMessage", { QueueUrl: base, ReceiptHandle: message.ReceiptHandle });
    return [message.Body, prompt];
  },
  async batch() {
    const bodies = { e3: "\x01", e7: "x".repeat(2049) };
    const Entries = [...Array(10).keys()].map((n) => ({ Id: `e${n}`, MessageBody: bodies[`e${n}`] ?? "é" }));
    const result = await call("SendMessageBatch", { QueueUrl: base, Entries });
    return [ids(result), failures(result)];
  },
  async settle_batch() {
    const messages = [];
    for (let got = [null]; messages.length < 8 && got.length; messages.push(...got))
      got = await receive(base, { MaxNumberOfMessages: 10 });
    const Entries = settleAll([...messages, { ReceiptHandle: "garbage" }]);
    const hidden = Entries.map((entry) => ({ ...entry, VisibilityTimeout: 60 }));
    const results = [
      await call("ChangeMessageVisibilityBatch", { QueueUrl: base, Entries: hidden }),
      await call("DeleteMessageBatch", { QueueUrl: base, Entries }),
    ];
    return results.map((result) => [ids(result), failures(result)]);
  },
  async fifo() {
    const send = (MessageBody, more) =>
      call("SendMessage", { QueueUrl: fifo, MessageBody, MessageGroupId: "g", ...more });
    const sent = [
      await send("a", { MessageDeduplicationId: "d" }),
      await send("b"),
      await send("c"),
      await send("other", { MessageDeduplicationId: "d" }),
    ];
    const numbers = sent.map((answer) => answer.SequenceNumber);
    const got = await receive(fifo, { MaxNumberOfMessages: 10, ...all });
    await send("next");
    const blocked = (await receive(fifo)).length;
    await call("DeleteMessageBatch", { QueueUrl: fifo, Entries: settleAll(got) });
    return {
      ascending: `${numbers.slice(0, 3)}` === `${[...new Set(numbers)].sort()}`,
      digits: numbers.map((number) => number.length),
      duplicate: [numbers[3] === numbers[0], sent[3].MessageId === sent[0].MessageId],
      bodies: got.map((message) => message.Body),
      group: got.map((message) => message.Attributes.MessageGroupId),
      deduplication: got[0].Attributes.MessageDeduplicationId,
      numbers: `${got.map((message) => message.Attributes.SequenceNumber)}` === `${numbers.slice(0, 3)}`,
      blocked,
      next: (await receive(fifo)).map((message) => message.Body),
    };
  },
  async dead_letter() {
    const deadLetterTargetArn = `${ARN}:orders-dead`;
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 2 });
    await call("SetQueueAttributes", { QueueUrl: base, Attributes: { RedrivePolicy } });
    await call("SendMessage", { QueueUrl: base, MessageBody: "poison" });
    const seen = [];
    for (let n = 0; n < 3; n++) seen.push((await receive(base, { VisibilityTimeout: 0 })).length);
    const message = only(await receive(dead, all));
    const sources = (await call("ListDeadLetterSourceQueues", { QueueUrl: dead })).queueUrls;
    return [seen, message.Body, message.Attributes.DeadLetterQueueSourceArn, sources.map(path)];
  },
  async move() {
    const Entries = [...Array(10).keys()].map((n) => ({ Id: `${n}`, MessageBody: "x" }));
    for (let n = 0; n < 2; n++) await call("SendMessageBatch", { QueueUrl: dead, Entries });
    const SourceArn = `${ARN}:orders-dead`;
    const started = { SourceArn, DestinationArn: `${ARN}:orders`, MaxNumberOfMessagesPerSecond: 1 };
    const { TaskHandle } = await call("StartMessageMoveTask", started);
    const task = async () => (await call("ListMessageMoveTasks", { SourceArn, MaxResults: 10 })).Results[0];
    const running = await task();
    const moved = (await call("CancelMessageMoveTask", { TaskHandle })).ApproximateNumberOfMessagesMoved;
    const cancelled = await task();
    return [
      [
        running.Status,
        running.TaskHandle === TaskHandle,
        running.ApproximateNumberOfMessagesToMove >= 20,
        running.MaxNumberOfMessagesPerSecond,
      ],
      0 <= moved && moved <= 20,
      [cancelled.Status, !cancelled.TaskHandle],
    ];
  },
  async set_attributes() {
    await call("SetQueueAttributes", { QueueUrl: base, Attributes: { RedrivePolicy: "", VisibilityTimeout: "7" } });
    const none = await attributes("RedrivePolicy");
    return [none, await attributes("VisibilityTimeout", "QueueArn"), Object.keys(await attributes("All")).sort()];
  },
  async permissions() {
    const given = { Label: "bob", AWSAccountIds: ["111111111111"], Actions: ["SendMessage"] };
    await call("AddPermission", { QueueUrl: base, ...given });
    const { Policy } = await attributes("Policy");
    await call("RemovePermission", { QueueUrl: base, Label: "bob" });
    const said = ['"Sid":"bob"', '"Action":"SQS:SendMessage"'].every((text) => Policy.includes(text));
    return [said, await attributes("Policy")];
  },
  async purge() {
    await call("SendMessage", { QueueUrl: base, MessageBody: "x" });
    await call("PurgeQueue", { QueueUrl: base });
    return attributes("ApproximateNumberOfMessages");
  },
  async errors() {
    const entries = (...names) => names.map((Id) => ({ Id, MessageBody: "x" }));
    const calls = {
      "purge again": ["PurgeQueue", { QueueUrl: base }],
      "no such name": ["GetQueueUrl", { QueueName: "nobody" }],
      "no such queue": ["SendMessage", { QueueUrl: `${base}-not`, MessageBody: "x" }],
      receipt: ["DeleteMessage", { QueueUrl: base, ReceiptHandle: "garbage" }],
      exists: ["CreateQueue", { QueueName: "orders", Attributes: { VisibilityTimeout: "1" } }],
      empty: ["SendMessageBatch", { QueueUrl: base, Entries: [] }],
      twice: ["SendMessageBatch", { QueueUrl: base, Entries: entries("a", "a") }],
      "bad id": ["SendMessageBatch", { QueueUrl: base, Entries: entries("a b") }],
      eleven: ["SendMessageBatch", { QueueUrl: base, Entries: entries(..."abcdefghijk") }],
      "too long": ["SendMessage", { QueueUrl: base, MessageBody: "x".repeat(2049) }],
      "bad body": ["SendMessage", { QueueUrl: base, MessageBody: "\x01" }],
      "no group": ["SendMessage", { QueueUrl: fifo, MessageBody: "x" }],
      "bad value": ["SetQueueAttributes", { QueueUrl: base, Attributes: { DelaySeconds: "x" } }],
      "bad name": ["GetQueueAttributes", { QueueUrl: base, AttributeNames: ["Nonsense"] }],
      "no resource": ["StartMessageMoveTask", { SourceArn: `${ARN}:nobody` }],
      "bad handle": ["CancelMessageMoveTask", { TaskHandle: "garbage" }],
      "long wait": ["ReceiveMessage", { QueueUrl: base, WaitTimeSeconds: 21 }],
      "no label": ["RemovePermission", { QueueUrl: base, Label: "nobody" }],
      "eight actions": [
        "AddPermission",
        { QueueUrl: base, Label: "x", AWSAccountIds: ["111111111111"], Actions: Array(8).fill("*") },
      ],
      "their tag": ["TagQueue", { QueueUrl: base, Tags: { "aws:x": "y" } }],
      delete: ["DeleteQueue", { QueueUrl: base }],
      deleted: ["CreateQueue", { QueueName: "orders" }],
    };
    const seen = {};
    for (const [name, [operation, parameters]] of Object.entries(calls))
      seen[name] = await call(operation, parameters).then(() => "accepted", fault);
    return seen;
  },
};

(async () => {
  const seen = {};
  for (const [name, step] of Object.entries(steps))
    seen[name] = await step().catch((error) => `${error.name}: ${error.message}`);
  console.log(JSON.stringify(seen));
  process.exit(0);
})();
