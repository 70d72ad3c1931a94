// The scenario on the Java SDK v2, which checks every MD5 it is given. Prints what it saw. Steps as in python_sdk.py.

import java.net.URI;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.model.*;

class Judge {
    static final String BODY = "h\u00e9llo \ud83d\ude80 \"quoted\" <&>\n\ttext\r";
    static final String TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    static final String ARN = "arn:aws:sqs:us-east-1:000000000000";
    static String endpoint, url, fifo, dead;
    static SqsClient sqs;

    public static void main(String[] arguments) {
        endpoint = arguments[0];
        url = endpoint + "/000000000000/orders";
        fifo = url + ".fifo";
        dead = url + "-dead";
        sqs = SqsClient.builder().endpointOverride(URI.create(endpoint)).build();
        Map<String, Callable<Object>> steps = new LinkedHashMap<>();
        steps.put("create", Judge::create);
        steps.put("tags", Judge::tags);
        steps.put("find", () -> path(sqs.getQueueUrl(b -> b.queueName("orders")).queueUrl()));
        steps.put("pages", Judge::pages);
        steps.put("receive_nothing", () -> receive(url, 1, null, 0, false).size());
        steps.put("send", Judge::send);
        steps.put("receive_all", Judge::receiveAll);
        steps.put("settle", Judge::settle);
        steps.put("long_poll", Judge::longPoll);
        steps.put("batch", Judge::batch);
        steps.put("settle_batch", Judge::settleBatch);
        steps.put("fifo", Judge::fifo);
        steps.put("dead_letter", Judge::deadLetter);
        steps.put("move", Judge::move);
        steps.put("set_attributes", Judge::setAttributes);
        steps.put("permissions", Judge::permissions);
        steps.put("purge", Judge::purge);
        steps.put("errors", Judge::errors);
        Map<String, Object> seen = new LinkedHashMap<>();
        steps.forEach((name, step) -> {
            try {
                seen.put(name, step.call());
            } catch (Exception error) {
                seen.put(name, error.toString());
            }
        });
        System.out.println(json(seen));
        System.exit(0);
    }

    static Object create() {
        return Stream.of(
                sqs.createQueue(b -> b.queueName("orders").tags(Map.of("team", "cr\u00e8me / 1+1=2", "empty", ""))
                        .attributesWithStrings(Map.of("VisibilityTimeout", "120", "MaximumMessageSize", "2048"))),
                sqs.createQueue(b -> b.queueName("orders.fifo")
                        .attributesWithStrings(Map.of("FifoQueue", "true", "ContentBasedDeduplication", "true"))),
                sqs.createQueue(b -> b.queueName("orders-dead"))).map(answer -> path(answer.queueUrl())).toList();
    }

    static Object tags() {
        Map<String, String> before = sqs.listQueueTags(b -> b.queueUrl(url)).tags();
        sqs.untagQueue(b -> b.queueUrl(url).tagKeys("empty"));
        sqs.tagQueue(b -> b.queueUrl(url).tags(Map.of("k", "v")));
        return List.of(before, sqs.listQueueTags(b -> b.queueUrl(url)).tags());
    }

    static Object pages() {
        ListQueuesResponse first = sqs.listQueues(b -> b.queueNamePrefix("orders").maxResults(2));
        ListQueuesResponse second =
                sqs.listQueues(b -> b.queueNamePrefix("orders").maxResults(2).nextToken(first.nextToken()));
        List<String> urls = Stream.of(first, second).flatMap(page -> page.queueUrls().stream()).map(Judge::path)
                .sorted().toList();
        return List.of(urls, List.of(second.nextToken() == null ? "end" : second.nextToken()));
    }

    static Object send() {
        SendMessageResponse sent = sqs.sendMessage(b -> b.queueUrl(url).messageBody(BODY)
                .messageAttributes(Map.of(
                        "text", MessageAttributeValue.builder().dataType("String").stringValue("gr\u00fc\u00dfe & <x>").build(),
                        "count", MessageAttributeValue.builder().dataType("Number.int").stringValue("42").build(),
                        "blob", MessageAttributeValue.builder().dataType("Binary.png")
                                .binaryValue(SdkBytes.fromByteArray(new byte[] {0, -1, 16, -128})).build()))
                .messageSystemAttributes(Map.of(MessageSystemAttributeNameForSends.AWS_TRACE_HEADER,
                        MessageSystemAttributeValue.builder().dataType("String").stringValue(TRACE).build())));
        return List.of(sent.md5OfMessageBody(), sent.md5OfMessageAttributes(), sent.md5OfMessageSystemAttributes());
    }

    static Object receiveAll() {
        Message message = only(receive(url, 1, 0, 0, true));
        Map<String, Object> attributes = new TreeMap<>();
        message.messageAttributes().forEach((name, value) -> attributes.put(name, List.of(value.dataType(),
                value.stringValue() != null ? value.stringValue()
                        : Base64.getEncoder().encodeToString(value.binaryValue().asByteArray()))));
        Map<String, String> facts = message.attributesAsStrings();
        return Map.of("body", message.body(), "md5", List.of(message.md5OfBody(), message.md5OfMessageAttributes()),
                "attributes", attributes, "facts", facts.keySet().stream().sorted().toList(),
                "trace", facts.get("AWSTraceHeader"), "count", facts.get("ApproximateReceiveCount"));
    }

    static Object settle() {
        Message first = only(receive(url, 1, null, 0, false));
        int hidden = receive(url, 1, null, 0, false).size();
        sqs.changeMessageVisibility(b -> b.queueUrl(url).receiptHandle(first.receiptHandle()).visibilityTimeout(0));
        Message again = only(receive(url, 1, null, 0, false));
        sqs.deleteMessage(b -> b.queueUrl(url).receiptHandle(again.receiptHandle()));
        Map<String, String> left = attributes("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible");
        return List.of(hidden, first.messageId().equals(again.messageId()), left.values().stream().sorted().toList());
    }

    static Object longPoll() throws Exception {
        long start = System.nanoTime();
        Future<List<Message>> waiting = ForkJoinPool.commonPool().submit(() -> receive(url, 1, null, 15, false));
        Thread.sleep(1000);
        sqs.sendMessage(b -> b.queueUrl(url).messageBody("late"));
        Message message = only(waiting.get());
        boolean prompt = System.nanoTime() - start < 10_000_000_000L;
        sqs.deleteMessage(b -> b.queueUrl(url).receiptHandle(message.receiptHandle()));
        return List.of(message.body(), prompt);
    }

    static Object batch() {
        Map<String, String> bodies = Map.of("e3", "\u0001", "e7", "x".repeat(2049));
        SendMessageBatchResponse result = sqs.sendMessageBatch(b -> b.queueUrl(url).entries(IntStream.range(0, 10)
                .mapToObj(n -> SendMessageBatchRequestEntry.builder().id("e" + n)
                        .messageBody(bodies.getOrDefault("e" + n, "\u00e9")).build()).toList()));
        return List.of(result.successful().stream().map(SendMessageBatchResultEntry::id).sorted().toList(),
                failures(result.failed()));
    }

    static Object settleBatch() {
        List<String> receipts = new ArrayList<>();
        for (List<Message> got = null; receipts.size() < 8 && (got == null || !got.isEmpty());) {
            got = receive(url, 10, null, 0, false);
            got.forEach(message -> receipts.add(message.receiptHandle()));
        }
        receipts.add("garbage");
        ChangeMessageVisibilityBatchResponse changed = sqs.changeMessageVisibilityBatch(b -> b.queueUrl(url)
                .entries(IntStream.range(0, receipts.size()).mapToObj(n -> ChangeMessageVisibilityBatchRequestEntry
                        .builder().id("" + n).receiptHandle(receipts.get(n)).visibilityTimeout(60).build()).toList()));
        DeleteMessageBatchResponse deleted = deleteBatch(url, receipts);
        return List.of(
                List.of(changed.successful().stream().map(ChangeMessageVisibilityBatchResultEntry::id).sorted().toList(),
                        failures(changed.failed())),
                List.of(deleted.successful().stream().map(DeleteMessageBatchResultEntry::id).sorted().toList(),
                        failures(deleted.failed())));
    }

    static Object fifo() {
        List<SendMessageResponse> sent =
                List.of(sendFifo("a", "d"), sendFifo("b", null), sendFifo("c", null), sendFifo("other", "d"));
        List<String> numbers = sent.stream().map(SendMessageResponse::sequenceNumber).toList();
        List<Message> got = receive(fifo, 10, null, 0, true);
        sendFifo("next", null);
        int blocked = receive(fifo, 1, null, 0, false).size();
        deleteBatch(fifo, got.stream().map(Message::receiptHandle).toList());
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("ascending", numbers.subList(0, 3).equals(List.copyOf(new TreeSet<>(numbers))));
        seen.put("digits", numbers.stream().map(String::length).toList());
        seen.put("duplicate", List.of(numbers.get(3).equals(numbers.get(0)),
                sent.get(3).messageId().equals(sent.get(0).messageId())));
        seen.put("bodies", got.stream().map(Message::body).toList());
        seen.put("group", got.stream().map(message -> fact(message, "MessageGroupId")).toList());
        seen.put("deduplication", fact(got.get(0), "MessageDeduplicationId"));
        seen.put("numbers",
                got.stream().map(message -> fact(message, "SequenceNumber")).toList().equals(numbers.subList(0, 3)));
        seen.put("blocked", blocked);
        seen.put("next", receive(fifo, 1, null, 0, false).stream().map(Message::body).toList());
        return seen;
    }

    static Object deadLetter() {
        String policy = "{\"deadLetterTargetArn\":\"" + ARN + ":orders-dead\",\"maxReceiveCount\":2}";
        sqs.setQueueAttributes(b -> b.queueUrl(url).attributesWithStrings(Map.of("RedrivePolicy", policy)));
        sqs.sendMessage(b -> b.queueUrl(url).messageBody("poison"));
        List<Integer> seen = IntStream.range(0, 3).mapToObj(n -> receive(url, 1, 0, 0, false).size()).toList();
        Message message = only(receive(dead, 1, null, 0, true));
        List<String> sources = sqs.listDeadLetterSourceQueues(b -> b.queueUrl(dead)).queueUrls();
        return List.of(seen, message.body(), fact(message, "DeadLetterQueueSourceArn"),
                sources.stream().map(Judge::path).toList());
    }

    static Object move() {
        for (int i = 0; i < 2; i++)
            sqs.sendMessageBatch(b -> b.queueUrl(dead).entries(IntStream.range(0, 10)
                    .mapToObj(n -> SendMessageBatchRequestEntry.builder().id("" + n).messageBody("x").build()).toList()));
        String handle = sqs.startMessageMoveTask(b -> b.sourceArn(ARN + ":orders-dead").destinationArn(ARN + ":orders")
                .maxNumberOfMessagesPerSecond(1)).taskHandle();
        ListMessageMoveTasksResultEntry running = task();
        long moved = sqs.cancelMessageMoveTask(b -> b.taskHandle(handle)).approximateNumberOfMessagesMoved();
        ListMessageMoveTasksResultEntry cancelled = task();
        return List.of(
                List.of(running.status(), handle.equals(running.taskHandle()),
                        running.approximateNumberOfMessagesToMove() >= 20, running.maxNumberOfMessagesPerSecond()),
                0 <= moved && moved <= 20, List.of(cancelled.status(), cancelled.taskHandle() == null));
    }

    static ListMessageMoveTasksResultEntry task() {
        return sqs.listMessageMoveTasks(b -> b.sourceArn(ARN + ":orders-dead").maxResults(10)).results().get(0);
    }

    static Object permissions() {
        sqs.addPermission(b -> b.queueUrl(url).label("bob").awsAccountIds("111111111111").actions("SendMessage"));
        String policy = attributes("Policy").get("Policy");
        sqs.removePermission(b -> b.queueUrl(url).label("bob"));
        return List.of(policy.contains("\"Sid\":\"bob\"") && policy.contains("\"Action\":\"SQS:SendMessage\""),
                attributes("Policy"));
    }

    static Object setAttributes() {
        sqs.setQueueAttributes(b -> b.queueUrl(url)
                .attributesWithStrings(Map.of("RedrivePolicy", "", "VisibilityTimeout", "7")));
        return List.of(attributes("RedrivePolicy"), attributes("VisibilityTimeout", "QueueArn"),
                attributes("All").keySet().stream().sorted().toList());
    }

    static Object purge() {
        sqs.sendMessage(b -> b.queueUrl(url).messageBody("x"));
        sqs.purgeQueue(b -> b.queueUrl(url));
        return attributes("ApproximateNumberOfMessages");
    }

    static Object errors() {
        Map<String, Callable<Object>> calls = new LinkedHashMap<>();
        calls.put("purge again", () -> sqs.purgeQueue(b -> b.queueUrl(url)));
        calls.put("no such name", () -> sqs.getQueueUrl(b -> b.queueName("nobody")));
        calls.put("no such queue", () -> sqs.sendMessage(b -> b.queueUrl(url + "-not").messageBody("x")));
        calls.put("receipt", () -> sqs.deleteMessage(b -> b.queueUrl(url).receiptHandle("garbage")));
        calls.put("exists", () -> sqs.createQueue(b -> b.queueName("orders")
                .attributesWithStrings(Map.of("VisibilityTimeout", "1"))));
        calls.put("empty", () -> sendEntries());
        calls.put("twice", () -> sendEntries("a", "a"));
        calls.put("bad id", () -> sendEntries("a b"));
        calls.put("eleven", () -> sendEntries("abcdefghijk".split("")));
        calls.put("too long", () -> sqs.sendMessage(b -> b.queueUrl(url).messageBody("x".repeat(2049))));
        calls.put("bad body", () -> sqs.sendMessage(b -> b.queueUrl(url).messageBody("\u0001")));
        calls.put("no group", () -> sqs.sendMessage(b -> b.queueUrl(fifo).messageBody("x")));
        calls.put("bad value", () -> sqs.setQueueAttributes(b -> b.queueUrl(url)
                .attributesWithStrings(Map.of("DelaySeconds", "x"))));
        calls.put("bad name", () -> attributes("Nonsense"));
        calls.put("no resource", () -> sqs.startMessageMoveTask(b -> b.sourceArn(ARN + ":nobody")));
        calls.put("bad handle", () -> sqs.cancelMessageMoveTask(b -> b.taskHandle("garbage")));
        calls.put("long wait", () -> sqs.receiveMessage(b -> b.queueUrl(url).waitTimeSeconds(21)));
        calls.put("no label", () -> sqs.removePermission(b -> b.queueUrl(url).label("nobody")));
        calls.put("eight actions", () -> sqs.addPermission(b -> b.queueUrl(url).label("x")
                .awsAccountIds("111111111111").actions(Collections.nCopies(8, "*"))));
        calls.put("their tag", () -> sqs.tagQueue(b -> b.queueUrl(url).tags(Map.of("aws:x", "y"))));
        calls.put("delete", () -> sqs.deleteQueue(b -> b.queueUrl(url)));
        calls.put("deleted", () -> sqs.createQueue(b -> b.queueName("orders")));
        Map<String, Object> seen = new LinkedHashMap<>();
        calls.forEach((name, call) -> {
            try {
                call.call();
                seen.put(name, "accepted");
            } catch (AwsServiceException error) {
                seen.put(name, List.of(error.getClass().getSimpleName(), error.awsErrorDetails().errorCode(),
                        error.statusCode()));
            } catch (Exception error) {
                seen.put(name, error.toString());
            }
        });
        return seen;
    }

    static String path(String address) {
        return address.replace(endpoint, "");
    }

    static Message only(List<Message> messages) {
        if (messages.size() != 1) throw new IllegalStateException(messages.size() + " messages");
        return messages.get(0);
    }

    static String fact(Message message, String name) {
        return message.attributesAsStrings().get(name);
    }

    static List<Message> receive(String queue, int most, Integer visibility, int wait, boolean all) {
        return sqs.receiveMessage(b -> {
            b.queueUrl(queue).maxNumberOfMessages(most).visibilityTimeout(visibility).waitTimeSeconds(wait);
            if (all) b.messageAttributeNames("All").messageSystemAttributeNamesWithStrings("All");
        }).messages();
    }

    static SendMessageResponse sendFifo(String body, String deduplication) {
        return sqs.sendMessage(b -> b.queueUrl(fifo).messageBody(body).messageGroupId("g")
                .messageDeduplicationId(deduplication));
    }

    static SendMessageBatchResponse sendEntries(String... ids) {
        return sqs.sendMessageBatch(b -> b.queueUrl(url).entries(Stream.of(ids)
                .map(id -> SendMessageBatchRequestEntry.builder().id(id).messageBody("x").build()).toList()));
    }

    static DeleteMessageBatchResponse deleteBatch(String queue, List<String> receipts) {
        return sqs.deleteMessageBatch(b -> b.queueUrl(queue).entries(IntStream.range(0, receipts.size())
                .mapToObj(n -> DeleteMessageBatchRequestEntry.builder().id("" + n).receiptHandle(receipts.get(n)).build())
                .toList()));
    }

    static Map<String, String> attributes(String... names) {
        return sqs.getQueueAttributes(b -> b.queueUrl(url).attributeNamesWithStrings(names)).attributesAsStrings();
    }

    static Object failures(List<BatchResultErrorEntry> entries) {
        return entries.stream().sorted(Comparator.comparing(BatchResultErrorEntry::id))
                .map(entry -> List.of(entry.id(), entry.code(), entry.senderFault())).toList();
    }

    static String json(Object value) {
        if (value instanceof Map<?, ?> map) {
            return map.entrySet().stream().map(entry -> json(entry.getKey()) + ":" + json(entry.getValue()))
                    .collect(Collectors.joining(",", "{", "}"));
        }
        if (value instanceof List<?> list) {
            return list.stream().map(Judge::json).collect(Collectors.joining(",", "[", "]"));
        }
        if (value instanceof String text) {
            return text.chars().mapToObj(unit -> unit < 32 || unit > 126 || unit == '"' || unit == '\\'
                    ? String.format("\\u%04x", unit) : "" + (char) unit).collect(Collectors.joining("", "\"", "\""));
        }
        return String.valueOf(value);
    }
}
