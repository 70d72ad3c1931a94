-- One kind of load for wrk, named by the environment variable CASE. Every thread is a client of its own.
local case = os.getenv("CASE")
local url = os.getenv("QUEUE_URL")
local fifo = os.getenv("FIFO_URL")
local body100 = string.rep("x", 100)
local body4k = string.rep("x", 4096)
local counter = 0
local receipts = {}
local step = 0
local nonce = tostring({}):gsub("%W", "")

local function call(action, json)
  return wrk.format("POST", "/", {
    ["Content-Type"] = "application/x-amz-json-1.0",
    ["X-Amz-Target"] = "AmazonSQS." .. action,
    ["Authorization"] = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0",
  }, json)
end

local function batch(action, entries)
  return call(action, '{"QueueUrl":"' .. url .. '","Entries":[' .. table.concat(entries, ",") .. "]}")
end

local function send(body)
  return call("SendMessage", '{"QueueUrl":"' .. url .. '","MessageBody":"' .. body .. '"}')
end

local function receive(limit)
  return call("ReceiveMessage", '{"QueueUrl":"' .. url .. '","MaxNumberOfMessages":' .. limit .. "}")
end

local ten = {}
for n = 0, 9 do ten[n + 1] = '{"Id":"' .. n .. '","MessageBody":"' .. body100 .. '"}' end

local cases = {
  send = function() return send(body100) end,
  send_4k = function() return send(body4k) end,
  send_batch = function() return batch("SendMessageBatch", ten) end,
  empty_receive = function() return receive(1) end,
  fifo_send = function()
    counter = counter + 1
    return call("SendMessage", '{"QueueUrl":"' .. fifo .. '","MessageBody":"' .. body100 .. '","MessageGroupId":"g' ..
      counter % 50 .. '","MessageDeduplicationId":"' .. nonce .. "-" .. counter .. '"}')
  end,
  -- Send, receive, delete in turns; a delete takes a receipt that an earlier answer brought.
  cycle = function()
    step = (step + 1) % 3
    if step == 1 then return send(body100) end
    if step == 2 then return receive(1) end
    local receipt = table.remove(receipts)
    if not receipt then return receive(1) end
    return call("DeleteMessage", '{"QueueUrl":"' .. url .. '","ReceiptHandle":"' .. receipt .. '"}')
  end,
  cycle_batch = function()
    step = (step + 1) % 3
    if step == 1 then return batch("SendMessageBatch", ten) end
    if step == 2 or #receipts < 10 then return receive(10) end
    local entries = {}
    for n = 0, 9 do entries[n + 1] = '{"Id":"' .. n .. '","ReceiptHandle":"' .. table.remove(receipts) .. '"}' end
    return batch("DeleteMessageBatch", entries)
  end,
}

request = cases[case]
if case == "cycle" or case == "cycle_batch" then
  response = function(status, headers, body)
    for receipt in body:gmatch('"ReceiptHandle":"([^"]+)"') do receipts[#receipts + 1] = receipt end
  end
end

done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %d\n", summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
