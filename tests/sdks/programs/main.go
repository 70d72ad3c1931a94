// The scenario on the Go SDK v2. Prints what it saw. Steps as in python_sdk.py.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	body  = "héllo \U0001f680 \"quoted\" <&>\n\ttext\r"
	arn   = "arn:aws:sqs:us-east-1:000000000000"
	trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
)

type object = map[string]any
type list = []any

var (
	ctx      = context.Background()
	endpoint = os.Args[1]
	url      = aws.String(endpoint + "/000000000000/orders")
	fifo     = aws.String(*url + ".fifo")
	dead     = aws.String(*url + "-dead")
	client   = sqs.New(sqs.Options{
		BaseEndpoint: &endpoint,
		Region:       "us-east-1",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "x", SecretAccessKey: "x"}, nil
		}),
	})
)

// ask makes a call that has to succeed.
func ask[In, Out any](call func(context.Context, *In, ...func(*sqs.Options)) (*Out, error), in *In) *Out {
	out, err := call(ctx, in)
	if err != nil {
		panic(err)
	}
	return out
}

// refused makes a call that has to fail.
func refused[In, Out any](call func(context.Context, *In, ...func(*sqs.Options)) (*Out, error), in *In) any {
	_, err := call(ctx, in)
	var fault smithy.APIError
	var response *smithyhttp.ResponseError
	switch {
	case err == nil:
		return "accepted"
	case errors.As(err, &fault) && errors.As(err, &response):
		return list{reflect.TypeOf(fault).Elem().Name(), fault.ErrorCode(), response.HTTPStatusCode()}
	}
	return err.Error()
}

func path(address string) string { return strings.TrimPrefix(address, endpoint) }

func paths(addresses []string) []string { return each(addresses, path) }

func each[From, To any](from []From, make func(From) To) []To {
	to := []To{}
	for _, one := range from {
		to = append(to, make(one))
	}
	return to
}

func keys[Value any](from map[string]Value) []string {
	names := []string{}
	for name := range from {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func only(messages []types.Message) types.Message {
	if len(messages) != 1 {
		panic(fmt.Sprint(len(messages), " messages"))
	}
	return messages[0]
}

func receive(in sqs.ReceiveMessageInput) []types.Message {
	return ask(client.ReceiveMessage, &in).Messages
}

func all(in sqs.ReceiveMessageInput) []types.Message {
	in.MessageAttributeNames = []string{"All"}
	in.MessageSystemAttributeNames = []types.MessageSystemAttributeName{"All"}
	return receive(in)
}

// here receives one message. The SDK leaves out a VisibilityTimeout of zero, so `back` gives it back where need be.
func here() []types.Message { return receive(sqs.ReceiveMessageInput{QueueUrl: url}) }

func back(message types.Message) {
	ask(client.ChangeMessageVisibility,
		&sqs.ChangeMessageVisibilityInput{QueueUrl: url, ReceiptHandle: message.ReceiptHandle, VisibilityTimeout: 0})
}

func remove(message types.Message) {
	ask(client.DeleteMessage, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: message.ReceiptHandle})
}

func attributes(names ...types.QueueAttributeName) map[string]string {
	found := ask(client.GetQueueAttributes, &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: names}).Attributes
	if found == nil {
		return map[string]string{}
	}
	return found
}

func set(given map[string]string) {
	ask(client.SetQueueAttributes, &sqs.SetQueueAttributesInput{QueueUrl: url, Attributes: given})
}

func send(text string) {
	ask(client.SendMessage, &sqs.SendMessageInput{QueueUrl: url, MessageBody: &text})
}

func failures(entries []types.BatchResultErrorEntry) []list {
	slices.SortFunc(entries, func(a, b types.BatchResultErrorEntry) int { return strings.Compare(*a.Id, *b.Id) })
	return each(entries, func(e types.BatchResultErrorEntry) list { return list{*e.Id, *e.Code, e.SenderFault} })
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}

func removeAll(queue *string, receipts []string) *sqs.DeleteMessageBatchOutput {
	in := sqs.DeleteMessageBatchInput{QueueUrl: queue}
	for n, receipt := range receipts {
		in.Entries = append(in.Entries,
			types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(n)), ReceiptHandle: &receipt})
	}
	return ask(client.DeleteMessageBatch, &in)
}

func create() any {
	inputs := []sqs.CreateQueueInput{
		{
			QueueName:  aws.String("orders"),
			Attributes: map[string]string{"VisibilityTimeout": "120", "MaximumMessageSize": "2048"},
			Tags:       map[string]string{"team": "crème / 1+1=2", "empty": ""},
		},
		{
			QueueName:  aws.String("orders.fifo"),
			Attributes: map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"},
		},
		{QueueName: aws.String("orders-dead")},
	}
	return each(inputs, func(in sqs.CreateQueueInput) string { return path(*ask(client.CreateQueue, &in).QueueUrl) })
}

func tags() any {
	before := ask(client.ListQueueTags, &sqs.ListQueueTagsInput{QueueUrl: url}).Tags
	ask(client.UntagQueue, &sqs.UntagQueueInput{QueueUrl: url, TagKeys: []string{"empty"}})
	ask(client.TagQueue, &sqs.TagQueueInput{QueueUrl: url, Tags: map[string]string{"k": "v"}})
	return list{before, ask(client.ListQueueTags, &sqs.ListQueueTagsInput{QueueUrl: url}).Tags}
}

func find() any {
	return path(*ask(client.GetQueueUrl, &sqs.GetQueueUrlInput{QueueName: aws.String("orders")}).QueueUrl)
}

func pages() any {
	in := sqs.ListQueuesInput{QueueNamePrefix: aws.String("orders"), MaxResults: aws.Int32(2)}
	first := ask(client.ListQueues, &in)
	in.NextToken = first.NextToken
	second := ask(client.ListQueues, &in)
	end := "end"
	if second.NextToken != nil {
		end = *second.NextToken
	}
	return list{sorted(append(paths(first.QueueUrls), paths(second.QueueUrls)...)), list{end}}
}

func sending() any {
	sent := ask(client.SendMessage, &sqs.SendMessageInput{
		QueueUrl:    url,
		MessageBody: aws.String(body),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"text":  {DataType: aws.String("String"), StringValue: aws.String("grüße & <x>")},
			"count": {DataType: aws.String("Number.int"), StringValue: aws.String("42")},
			"blob":  {DataType: aws.String("Binary.png"), BinaryValue: []byte{0, 255, 16, 128}},
		},
		MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{
			"AWSTraceHeader": {DataType: aws.String("String"), StringValue: aws.String(trace)},
		},
	})
	return list{*sent.MD5OfMessageBody, *sent.MD5OfMessageAttributes, *sent.MD5OfMessageSystemAttributes}
}

func receiveAll() any {
	message := only(all(sqs.ReceiveMessageInput{QueueUrl: url}))
	back(message)
	plain := object{}
	for name, value := range message.MessageAttributes {
		if value.StringValue != nil {
			plain[name] = list{*value.DataType, *value.StringValue}
		} else {
			plain[name] = list{*value.DataType, base64.StdEncoding.EncodeToString(value.BinaryValue)}
		}
	}
	return object{
		"body":       *message.Body,
		"md5":        list{*message.MD5OfBody, *message.MD5OfMessageAttributes},
		"attributes": plain,
		"facts":      keys(message.Attributes),
		"trace":      message.Attributes["AWSTraceHeader"],
		"count":      message.Attributes["ApproximateReceiveCount"],
	}
}

func settle() any {
	first := only(here())
	hidden := len(here())
	back(first)
	again := only(here())
	remove(again)
	left := attributes("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
	counts := list{}
	for _, count := range left {
		counts = append(counts, count)
	}
	return list{hidden, *first.MessageId == *again.MessageId, counts}
}

func longPoll() any {
	start := time.Now()
	time.AfterFunc(time.Second, func() { // no panic here: nobody would recover
		_, _ = client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("late")})
	})
	message := only(receive(sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 15}))
	prompt := time.Since(start) < 10*time.Second
	remove(message)
	return list{*message.Body, prompt}
}

func batch() any {
	in := sqs.SendMessageBatchInput{QueueUrl: url}
	for n := range 10 {
		text := "é"
		switch n {
		case 3:
			text = "\x01"
		case 7:
			text = strings.Repeat("x", 2049)
		}
		in.Entries = append(in.Entries,
			types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint("e", n)), MessageBody: &text})
	}
	result := ask(client.SendMessageBatch, &in)
	ids := each(result.Successful, func(e types.SendMessageBatchResultEntry) string { return *e.Id })
	return list{sorted(ids), failures(result.Failed)}
}

func settleBatch() any {
	receipts := []string{}
	for len(receipts) < 8 {
		got := receive(sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: 10})
		if len(got) == 0 {
			break
		}
		receipts = append(receipts, each(got, func(m types.Message) string { return *m.ReceiptHandle })...)
	}
	receipts = append(receipts, "garbage")
	in := sqs.ChangeMessageVisibilityBatchInput{QueueUrl: url}
	for n, receipt := range receipts {
		in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(strconv.Itoa(n)), ReceiptHandle: &receipt, VisibilityTimeout: 60,
		})
	}
	changed := ask(client.ChangeMessageVisibilityBatch, &in)
	deleted := removeAll(url, receipts)
	return list{
		list{
			sorted(each(changed.Successful, func(e types.ChangeMessageVisibilityBatchResultEntry) string { return *e.Id })),
			failures(changed.Failed),
		},
		list{
			sorted(each(deleted.Successful, func(e types.DeleteMessageBatchResultEntry) string { return *e.Id })),
			failures(deleted.Failed),
		},
	}
}

func inOrder() any {
	post := func(text string, deduplication *string) *sqs.SendMessageOutput {
		return ask(client.SendMessage, &sqs.SendMessageInput{
			QueueUrl: fifo, MessageBody: &text, MessageGroupId: aws.String("g"), MessageDeduplicationId: deduplication,
		})
	}
	sent := []*sqs.SendMessageOutput{
		post("a", aws.String("d")), post("b", nil), post("c", nil), post("other", aws.String("d")),
	}
	numbers := each(sent, func(out *sqs.SendMessageOutput) string { return *out.SequenceNumber })
	got := all(sqs.ReceiveMessageInput{QueueUrl: fifo, MaxNumberOfMessages: 10})
	post("next", nil)
	text := func(m types.Message) string { return *m.Body }
	fact := func(name string) []string {
		return each(got, func(m types.Message) string { return m.Attributes[name] })
	}
	blocked := len(receive(sqs.ReceiveMessageInput{QueueUrl: fifo}))
	removeAll(fifo, each(got, func(m types.Message) string { return *m.ReceiptHandle }))
	return object{
		"ascending":     numbers[0] < numbers[1] && numbers[1] < numbers[2],
		"digits":        each(numbers, func(number string) int { return len(number) }),
		"duplicate":     list{numbers[3] == numbers[0], *sent[3].MessageId == *sent[0].MessageId},
		"bodies":        each(got, text),
		"group":         fact("MessageGroupId"),
		"deduplication": got[0].Attributes["MessageDeduplicationId"],
		"numbers":       slices.Equal(fact("SequenceNumber"), numbers[:3]),
		"blocked":       blocked,
		"next":          each(receive(sqs.ReceiveMessageInput{QueueUrl: fifo}), text),
	}
}

func deadLetter() any {
	set(map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"` + arn + `:orders-dead","maxReceiveCount":2}`})
	send("poison")
	seen := []int{}
	for range 3 {
		got := here()
		seen = append(seen, len(got))
		for _, message := range got {
			back(message)
		}
	}
	message := only(all(sqs.ReceiveMessageInput{QueueUrl: dead}))
	sources := ask(client.ListDeadLetterSourceQueues, &sqs.ListDeadLetterSourceQueuesInput{QueueUrl: dead}).QueueUrls
	return list{seen, *message.Body, message.Attributes["DeadLetterQueueSourceArn"], paths(sources)}
}

func move() any {
	in := sqs.SendMessageBatchInput{QueueUrl: dead}
	for n := range 10 {
		id := strconv.Itoa(n)
		in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: &id, MessageBody: aws.String("x")})
	}
	for range 2 {
		ask(client.SendMessageBatch, &in)
	}
	source := aws.String(arn + ":orders-dead")
	handle := ask(client.StartMessageMoveTask, &sqs.StartMessageMoveTaskInput{
		SourceArn: source, DestinationArn: aws.String(arn + ":orders"), MaxNumberOfMessagesPerSecond: aws.Int32(1),
	}).TaskHandle
	task := func() types.ListMessageMoveTasksResultEntry {
		in := sqs.ListMessageMoveTasksInput{SourceArn: source, MaxResults: aws.Int32(10)}
		return ask(client.ListMessageMoveTasks, &in).Results[0]
	}
	running := task()
	moved := ask(client.CancelMessageMoveTask, &sqs.CancelMessageMoveTaskInput{TaskHandle: handle}).ApproximateNumberOfMessagesMoved
	cancelled := task()
	return list{
		list{
			*running.Status, aws.ToString(running.TaskHandle) == *handle,
			*running.ApproximateNumberOfMessagesToMove >= 20, *running.MaxNumberOfMessagesPerSecond,
		},
		0 <= moved && moved <= 20,
		list{*cancelled.Status, cancelled.TaskHandle == nil},
	}
}

func permissions() any {
	ask(client.AddPermission, &sqs.AddPermissionInput{
		QueueUrl: url, Label: aws.String("bob"), AWSAccountIds: []string{"111111111111"}, Actions: []string{"SendMessage"},
	})
	policy := attributes("Policy")["Policy"]
	ask(client.RemovePermission, &sqs.RemovePermissionInput{QueueUrl: url, Label: aws.String("bob")})
	said := strings.Contains(policy, `"Sid":"bob"`) && strings.Contains(policy, `"Action":"SQS:SendMessage"`)
	return list{said, attributes("Policy")}
}

func setAttributes() any {
	set(map[string]string{"RedrivePolicy": "", "VisibilityTimeout": "7"})
	return list{attributes("RedrivePolicy"), attributes("VisibilityTimeout", "QueueArn"), keys(attributes("All"))}
}

func purge() any {
	send("x")
	ask(client.PurgeQueue, &sqs.PurgeQueueInput{QueueUrl: url})
	return attributes("ApproximateNumberOfMessages")
}

func refusals() any {
	entries := func(ids ...string) any {
		in := sqs.SendMessageBatchInput{QueueUrl: url, Entries: []types.SendMessageBatchRequestEntry{}}
		for _, id := range ids {
			in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: &id, MessageBody: aws.String("x")})
		}
		return refused(client.SendMessageBatch, &in)
	}
	post := func(queue string, text string) any {
		return refused(client.SendMessage, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: &text})
	}
	orders := func(given map[string]string) any {
		return refused(client.CreateQueue, &sqs.CreateQueueInput{QueueName: aws.String("orders"), Attributes: given})
	}
	return object{ // evaluated from first to last
		"purge again":   refused(client.PurgeQueue, &sqs.PurgeQueueInput{QueueUrl: url}),
		"no such name":  refused(client.GetQueueUrl, &sqs.GetQueueUrlInput{QueueName: aws.String("nobody")}),
		"no such queue": post(*url+"-not", "x"),
		"receipt": refused(client.DeleteMessage,
			&sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: aws.String("garbage")}),
		"exists":   orders(map[string]string{"VisibilityTimeout": "1"}),
		"empty":    entries(),
		"twice":    entries("a", "a"),
		"bad id":   entries("a b"),
		"eleven":   entries(strings.Split("abcdefghijk", "")...),
		"too long": post(*url, strings.Repeat("x", 2049)),
		"bad body": post(*url, "\x01"),
		"no group": post(*fifo, "x"),
		"bad value": refused(client.SetQueueAttributes,
			&sqs.SetQueueAttributesInput{QueueUrl: url, Attributes: map[string]string{"DelaySeconds": "x"}}),
		"bad name": refused(client.GetQueueAttributes,
			&sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []types.QueueAttributeName{"Nonsense"}}),
		"no resource": refused(client.StartMessageMoveTask,
			&sqs.StartMessageMoveTaskInput{SourceArn: aws.String(arn + ":nobody")}),
		"bad handle": refused(client.CancelMessageMoveTask,
			&sqs.CancelMessageMoveTaskInput{TaskHandle: aws.String("garbage")}),
		"long wait": refused(client.ReceiveMessage, &sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 21}),
		"no label": refused(client.RemovePermission,
			&sqs.RemovePermissionInput{QueueUrl: url, Label: aws.String("nobody")}),
		"eight actions": refused(client.AddPermission, &sqs.AddPermissionInput{
			QueueUrl: url, Label: aws.String("x"), AWSAccountIds: []string{"111111111111"},
			Actions: slices.Repeat([]string{"*"}, 8),
		}),
		"their tag": refused(client.TagQueue,
			&sqs.TagQueueInput{QueueUrl: url, Tags: map[string]string{"aws:x": "y"}}),
		"delete":  refused(client.DeleteQueue, &sqs.DeleteQueueInput{QueueUrl: url}),
		"deleted": orders(nil),
	}
}

func main() {
	seen := object{}
	run := func(name string, step func() any) {
		defer func() {
			if fault := recover(); fault != nil {
				seen[name] = fmt.Sprint(fault)
			}
		}()
		seen[name] = step()
	}
	run("create", create)
	run("tags", tags)
	run("find", find)
	run("pages", pages)
	run("receive_nothing", func() any { return len(here()) })
	run("send", sending)
	run("receive_all", receiveAll)
	run("settle", settle)
	run("long_poll", longPoll)
	run("batch", batch)
	run("settle_batch", settleBatch)
	run("fifo", inOrder)
	run("dead_letter", deadLetter)
	run("move", move)
	run("set_attributes", setAttributes)
	run("permissions", permissions)
	run("purge", purge)
	run("errors", refusals)
	answer, err := json.Marshal(seen)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(answer))
}
