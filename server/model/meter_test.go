package model_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/onedoor/onedoor/server/model"
)

const sse = "text/event-stream; charset=utf-8"

// answer is a recorded shape of a provider's answer.
type answer struct {
	dialect model.Dialect
	path    string
	request string
	kind    string
	body    string
	out     string // what the caller gets; empty: the body
	model   string
	used    model.Usage
	micro   int64
}

const chatHead = `{"id":"c1","object":"chat.completion.chunk","model":"m-1-2026","choices":[`

// forged is what a caller may have a model say, or a tool give back.
const forged = `\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n`

func chatStream(end string) string {
	return "data: " + chatHead + `{"delta":{"role":"assistant"}}],"usage":null}` + end +
		"data: " + chatHead + `{"delta":{"content":"` + forged + `"}}],"usage":null}` + end +
		"data: " + chatHead + `{"delta":{},"finish_reason":"stop"}],"usage":null}` + end
}

const (
	chatUsage = `data: ` + chatHead + `],"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":7}}}`
	chatDone  = "data: [DONE]"
	quiet     = `{"model":"m-1","max_tokens":500,"stream":true}`
	asking    = `{"model":"m-1","max_tokens":500,"stream":true,"stream_options":{"include_usage":true}}`
	chatPath  = "/v1/chat/completions"
)

func answers() map[string]answer {
	chatUsed := model.Usage{Input: 100, CachedInput: 40, Output: 20}
	anthropicEvents := "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"x\",\"model\":\"m-1\",\"usage\":{\"input_tokens\":25,\"cache_creation_input_tokens\":5,\"cache_read_input_tokens\":10,\"output_tokens\":1}}}\n\n" +
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n" +
		"event: ping\ndata: {\"type\": \"ping\"}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"{\\\"type\\\":\\\"message_delta\\\",\\\"usage\\\":{\\\"output_tokens\\\":0}}\"}}\n\n" +
		"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n" +
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\n" +
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	responsesEvents := "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"model\":\"m-1\",\"usage\":null}}\n\n" +
		"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"{\\\"response\\\":{\\\"usage\\\":{\\\"input_tokens\\\":1}}}\"}\n\n" +
		"event: response.%[1]s\ndata: {\"type\":\"response.%[1]s\",\"response\":{\"model\":\"m-1\",\"metadata\":{\"usage\":{\"input_tokens\":1}},\"output\":[{\"usage\":{\"input_tokens\":1}}],\"usage\":{\"input_tokens\":30,\"input_tokens_details\":{\"cached_tokens\":2},\"output_tokens\":9,\"total_tokens\":39}}}\n\n"
	responsesUsed := model.Usage{Input: 30, CachedInput: 2, Output: 9}
	geminiUsed := model.Usage{Input: 15, CachedInput: 4, Output: 20}
	geminiChunks := []string{
		`{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":12,"totalTokenCount":12},"modelVersion":"m-1"}`,
		`{"candidates":[{"content":{"parts":[{"text":"\"usageMetadata\":{\"promptTokenCount\":1}"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":12,"toolUsePromptTokenCount":3,"cachedContentTokenCount":4,"candidatesTokenCount":8,"thoughtsTokenCount":12,"totalTokenCount":35},"modelVersion":"m-1"}`,
	}
	const geminiRequest = `{"generationConfig":{"maxOutputTokens":500}}`
	all := map[string]answer{
		"chat": {
			model.OpenAI, chatPath, `{"model":"m-1","max_tokens":500}`, "application/json",
			`{"id":"c","model":"m-1","choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1}"},"usage":{"prompt_tokens":1,"completion_tokens":1}}],"usage":{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":40}}}`,
			"", "m-1", chatUsed, 280,
		},
		"chat, reasoning in the total alone": {
			model.OpenAI, chatPath, `{"model":"m-1","max_tokens":500}`, "application/json",
			`{"model":"m-1","usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":30}}`, "", "m-1", model.Usage{Input: 10, Output: 20}, 213,
		},
		"chat, a running count": {
			model.OpenAI, chatPath, asking, sse,
			"data: {\"model\":\"m-1\",\"choices\":[{}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":1}}\n\ndata: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n",
			"", "m-1", model.Usage{Input: 10, Output: 7}, 83,
		},
		"chat, a running count that was not asked for": {
			model.OpenAI, chatPath, quiet, sse,
			"data: {\"model\":\"m-1\",\"choices\":[{}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n",
			"", "m-1", model.Usage{Input: 10, Output: 7}, 83,
		},
		"completions": {
			model.OpenAI, "/v1/completions", quiet, sse, "data: {\"model\":\"m-1\",\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"model\":\"m-1\",\"choices\":[ ],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n",
			"data: {\"model\":\"m-1\",\"choices\":[{\"text\":\"a\"}]}\n\ndata: [DONE]\n\n", "m-1", model.Usage{Input: 3, Output: 1}, 14,
		},
		"embeddings": {
			model.OpenAI, "/v1/embeddings", `{"model":"m-1","input":"a"}`, "application/json",
			`{"data":[{"embedding":[0.1,-2e-5]}],"model":"m-1","usage":{"prompt_tokens":8,"total_tokens":8}}`, "", "m-1", model.Usage{Input: 8}, 10,
		},
		"responses": {
			model.OpenAI, "/v1/responses", `{"model":"m-1","max_output_tokens":500}`, "application/json",
			`{"model":"m-1","metadata":{"usage":"x"},"usage":{"input_tokens":30,"input_tokens_details":{"cached_tokens":2},"output_tokens":9}}`, "", "m-1", responsesUsed, 126,
		},
		"anthropic": {
			model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":500}`, "application/json",
			`{"type":"message","model":"m-1","content":[{"text":"x"}],"usage":{"input_tokens":25,"cache_creation_input_tokens":5,"cache_read_input_tokens":10,"output_tokens":15}}`,
			"", "m-1", model.Usage{Input: 40, CachedInput: 10, CacheWrite: 5, Output: 15}, 195,
		},
		"anthropic, streamed": {
			model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":500,"stream":true}`, sse, anthropicEvents,
			"", "m-1", model.Usage{Input: 40, CachedInput: 10, CacheWrite: 5, Output: 15}, 195,
		},
		"anthropic, a running count": {
			model.Anthropic, "/v1/messages", `{"model":"m-1","max_tokens":500,"stream":true}`, sse,
			"data: {\"type\":\"message_start\",\"message\":{\"model\":\"m-1\",\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n" +
				"data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":null},\"usage\":{\"output_tokens\":5}}\n\n" +
				"data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},\"usage\":{\"output_tokens\":9}}\n\n",
			"", "m-1", model.Usage{Input: 25, Output: 9}, 122,
		},
		"gemini, more in all than in parts": {
			model.Gemini, "/v1beta/models/m-1:generateContent", geminiRequest, "application/json",
			`{"usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":8,"totalTokenCount":35},"modelVersion":"m-1"}`, "", "m-1", model.Usage{Input: 12, Output: 23}, 245,
		},
		"gemini": {
			model.Gemini, "/v1beta/models/m-1:generateContent", geminiRequest, "application/json; charset=UTF-8", geminiChunks[1], "", "m-1", geminiUsed, 215,
		},
		"gemini, streamed": {
			model.Gemini, "/v1beta/models/m-1:streamGenerateContent", geminiRequest, sse,
			"data: " + geminiChunks[0] + "\r\n\r\ndata: " + geminiChunks[1] + "\r\n\r\n", "", "m-1", geminiUsed, 215,
		},
		"gemini, streamed as an array": {
			model.Gemini, "/v1beta/models/m-1:streamGenerateContent", geminiRequest, "application/json",
			"[" + geminiChunks[0] + "\n,\r\n" + geminiChunks[1] + "\n]\n", "", "m-1", geminiUsed, 215,
		},
	}
	for _, end := range []string{"completed", "incomplete", "failed"} {
		all["responses, "+end] = answer{
			model.OpenAI, "/v1/responses", `{"model":"m-1","max_output_tokens":500,"stream":true}`, sse, fmt.Sprintf(responsesEvents, end),
			"", "m-1", responsesUsed, 126,
		}
	}
	for name, end := range map[string]string{"LF": "\n\n", "CRLF": "\r\n\r\n", "CR": "\r\r"} {
		body := chatStream(end) + chatUsage + end + chatDone + end
		all["chat, streamed, "+name] = answer{model.OpenAI, chatPath, asking, sse, body, "", "m-1-2026", chatUsed, 280}
		all["chat, streamed, not asked, "+name] = answer{model.OpenAI, chatPath, quiet, sse, body, chatStream(end) + chatDone + end, "m-1-2026", chatUsed, 280}
	}
	return all
}

// What the caller gets and what is billed do not depend on how the answer is cut into
// pieces.
func TestAnswersAreMetered(t *testing.T) {
	for name, a := range answers() {
		t.Run(name, func(t *testing.T) {
			c := prepare(t, terms(a.dialect), a.path, a.request)
			want := a.body
			if a.out != "" {
				want = a.out
			}
			check := func(r io.Reader, how string) {
				out, b := read(t, c, a.kind, r)
				require.Equal(t, want, out, how)
				require.Equal(t, a.used, b.Usage, how)
				require.Equal(t, a.model, b.Model, how)
				require.Equal(t, a.micro, b.MicroUSD, how)
				require.False(t, b.Estimated, how)
			}
			check(strings.NewReader(a.body), "whole")
			check(iotest.OneByteReader(strings.NewReader(a.body)), "byte by byte")
			check(iotest.DataErrReader(strings.NewReader(a.body)), "the end with the data")
			for at := range len(a.body) {
				check(io.MultiReader(strings.NewReader(a.body[:at]), strings.NewReader(a.body[at:])), fmt.Sprint("split at ", at))
			}
		})
	}
}

// Wherever an answer breaks off, or the caller goes away, no less is billed than the
// provider counts or than was reserved.
func TestCutAnswersAreBilledInFull(t *testing.T) {
	for name, a := range answers() {
		t.Run(name, func(t *testing.T) {
			c := prepare(t, terms(a.dialect), a.path, a.request)
			counted := a.used.Tokens()
			for at := range len(a.body) {
				out, b := read(t, c, a.kind, cutAt(a.body, at))
				require.GreaterOrEqual(t, b.Usage.Tokens(), counted, "cut at %d", at)
				require.GreaterOrEqual(t, b.MicroUSD, a.micro, "cut at %d", at)
				if !b.Estimated {
					require.Equal(t, a.used, b.Usage)
				} else if a.dialect != model.Anthropic || b.Usage.Input != a.used.Input {
					require.Equal(t, c.Estimate.Tokens(), b.Usage.Tokens(), "cut at %d", at)
				}
				if a.out == "" {
					require.Equal(t, a.body[:at], out, "nothing of it is kept back")
				}
			}
		})
	}
}

func TestBadUsageIsTheEstimate(t *testing.T) {
	for name, body := range map[string]string{
		"none":           `{"model":"m-1","choices":[]}`,
		"null":           `{"usage":null}`,
		"zero":           `{"usage":{"prompt_tokens":0,"completion_tokens":0}}`,
		"empty":          `{"usage":{}}`,
		"negative":       `{"usage":{"prompt_tokens":-1,"completion_tokens":9}}`,
		"absurd":         `{"usage":{"prompt_tokens":9000000000,"completion_tokens":9}}`,
		"beyond numbers": `{"usage":{"prompt_tokens":1e400}}`,
		"a text":         `{"usage":"{\"prompt_tokens\":1}"}`,
		"a list":         `[{"usage":{"prompt_tokens":1}}`,
		"elsewhere":      `{"choices":[{"usage":{"prompt_tokens":1}}],"x":{"usage":{"prompt_tokens":1}}}`,
		"half":           `{"usage":{"prompt_tokens":1}`,
		"no JSON":        `usage: 1`,
		"nothing":        ``,
		"too long":       `{"usage":{"x":"` + strings.Repeat("x", 70_000) + `","prompt_tokens":1}}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := prepare(t, terms(model.OpenAI), chatPath, `{"model":"m-1","max_tokens":500}`)
			out, b := read(t, c, "application/json", strings.NewReader(body))
			require.Equal(t, body, out)
			require.True(t, b.Estimated)
			require.Equal(t, model.Usage{Input: c.Estimate.Input, Output: 500}, b.Usage)
			require.Equal(t, c.Estimate.MicroUSD, b.MicroUSD)
			require.Equal(t, "m-1", b.Model)
		})
	}
	c := prepare(t, terms(model.OpenAI), chatPath, `{"model":"x y"}`)
	_, b := read(t, c, "audio/mpeg", strings.NewReader(strings.Repeat("a", 1000)))
	require.Equal(t, model.Bill{Model: "?", Usage: model.Usage{Input: int64(len(`{"model":"x y"}`)) + 64, Output: 1000}, MicroUSD: -1, Estimated: true}, b, "no bound: a token is a byte at least")
}

// Of Anthropic's messages the input is known from the first event, unless tools that the
// provider runs add to it.
func TestInputThatIsKnown(t *testing.T) {
	const start = "data: {\"type\":\"message_start\",\"message\":{\"model\":\"m-1\",\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n"
	terms := terms(model.Anthropic)
	terms.MaxInput = 5000
	for tool, want := range map[string]int64{`{"name":"f"}`: 25, `{"type":"web_search_20250305"}`: 5000} {
		c := prepare(t, terms, "/v1/messages", `{"model":"m-1","max_tokens":500,"stream":true,"tools":[`+tool+`]}`)
		_, b := read(t, c, sse, strings.NewReader(start))
		require.True(t, b.Estimated)
		require.Equal(t, model.Usage{Input: want, Output: 500}, b.Usage, tool)
	}
}

func TestWhatIsNotBilled(t *testing.T) {
	t.Run("statuses", func(t *testing.T) {
		c := prepare(t, terms(model.OpenAI), chatPath, `{"model":"m-1","max_tokens":5}`)
		for status, want := range map[int]bool{0: true, 200: true, 302: false, 400: false, 408: true, 429: false, 500: true, 502: true, 503: false, 504: true, 529: false} {
			m := c.Meter("application/json", io.NopCloser(strings.NewReader(`{"error":{}}`)))
			b, billed := c.Bill(status, m)
			require.Equal(t, want, billed, status)
			require.Equal(t, want, b.Estimated, status)
		}
		b, billed := c.Unanswered()
		require.True(t, billed)
		require.Equal(t, c.Estimate.Tokens(), b.Usage.Tokens())
	})
	t.Run("a refusal that says what it used", func(t *testing.T) {
		c := prepare(t, terms(model.OpenAI), chatPath, `{"model":"m-1","max_tokens":5}`)
		m := c.Meter("application/json", io.NopCloser(strings.NewReader(`{"error":{},"usage":{"prompt_tokens":70,"completion_tokens":2}}`)))
		_, err := io.ReadAll(m)
		require.NoError(t, err)
		b, billed := c.Bill(400, m)
		require.True(t, billed)
		require.Equal(t, model.Usage{Input: 70, Output: 2}, b.Usage)
		require.False(t, b.Estimated)
	})
	t.Run("a free endpoint", func(t *testing.T) {
		_, billed := prepare(t, terms(model.Anthropic), "/v1/messages/count_tokens", `{}`).Bill(200, nil)
		require.False(t, billed)
	})
	t.Run("an endpoint that is not known, which says nothing", func(t *testing.T) {
		_, billed := prepare(t, terms(model.OpenAI), "/v1/files", `{}`).Bill(200, nil)
		require.False(t, billed)
	})
	t.Run("an endpoint that is not known, which says what it used", func(t *testing.T) {
		c := prepare(t, terms(model.OpenAI), "/v1/images/generations", `{}`)
		_, b := read(t, c, "application/json", strings.NewReader(`{"usage":{"input_tokens":5,"output_tokens":6}}`))
		require.Equal(t, model.Usage{Input: 5, Output: 6}, b.Usage)
	})
}

// Each event reaches the caller before the provider sends the next, whether it may have
// to be dropped or not.
func TestEventsAreNotHeldBack(t *testing.T) {
	for name, request := range map[string]string{"asked": asking, "not asked": quiet} {
		t.Run(name, func(t *testing.T) {
			c := prepare(t, terms(model.OpenAI), chatPath, request)
			r, w := io.Pipe()
			m := c.Meter(sse, r)
			buffer := make([]byte, 1<<15)
			for i := range 5 {
				event := fmt.Sprintf("data: {\"choices\":[{\"index\":%d}]}\n\n", i)
				go func() { _, _ = io.WriteString(w, event) }()
				n, err := m.Read(buffer)
				require.NoError(t, err)
				require.Equal(t, event, string(buffer[:n]))
			}
			require.NoError(t, w.Close())
			require.NoError(t, m.Close())
		})
	}
}

// An event of any length goes on, and what is held of it is bounded.
func TestLongEventsGoOn(t *testing.T) {
	c := prepare(t, terms(model.OpenAI), chatPath, quiet)
	long := "data: {\"choices\":[{\"x\":\"" + strings.Repeat("y", 3<<20) + "\"}]}\n\n"
	out, b := read(t, c, sse, strings.NewReader(long+chatUsage+"\n\n"+chatDone+"\n\n"))
	require.Equal(t, long+chatDone+"\n\n", out)
	require.EqualValues(t, 120, b.Usage.Tokens())
	require.False(t, b.Estimated)

	// While it runs, the caller gets it.
	m := c.Meter(sse, io.NopCloser(io.MultiReader(strings.NewReader(long[:2<<20]), iotest.ErrReader(errCut))))
	n, _ := io.Copy(io.Discard, m)
	require.EqualValues(t, 2<<20, n)
}

// An answer goes on as it came, but for events of usage that were not asked for; a
// bill is never nothing.
func FuzzMeter(f *testing.F) {
	for _, a := range answers() {
		f.Add(a.body, a.dialect == model.OpenAI, uint8(7))
	}
	f.Add("data: x\r\r\n\ndata\n:\n\n\n", true, uint8(1))
	f.Fuzz(func(t *testing.T, body string, openAI bool, size uint8) {
		d, path := model.Anthropic, "/v1/messages"
		if openAI {
			d, path = model.OpenAI, chatPath
		}
		for _, kind := range []string{sse, "application/json"} {
			for _, request := range []string{quiet, asking} {
				c := prepare(t, terms(d), path, request)
				whole, b1 := read(t, c, kind, strings.NewReader(body))
				pieces, b2 := read(t, c, kind, &inPieces{body, int(size)%17 + 1})
				require.Equal(t, whole, pieces)
				require.Equal(t, b1, b2)
				require.Positive(t, b1.Usage.Tokens())
				if whole != body {
					require.True(t, kind == sse && request == quiet && openAI)
					require.Contains(t, body, "choices")
					require.Less(t, len(whole), len(body))
				}
			}
		}
	})
}

type inPieces struct {
	text string
	size int
}

func (r *inPieces) Read(p []byte) (int, error) {
	if r.text == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.size)], r.text)
	r.text = r.text[n:]
	return n, nil
}

// FuzzPrepare: a body that is edited differs in what is set alone.
func FuzzPrepare(f *testing.F) {
	for _, a := range answers() {
		f.Add(a.request)
	}
	f.Add(`{"stream":true,"stream_options":{"a":[{}]},"metadata":{"x":"\""}}`)
	f.Fuzz(func(t *testing.T, body string) {
		for d, path := range map[model.Dialect]string{model.OpenAI: chatPath, model.Anthropic: "/v1/messages", model.Gemini: "/v1/models/m:generateContent"} {
			c, err := terms(d).Prepare(request(path, body))
			if err != nil || len(body) == 0 {
				continue
			}
			once := string(c.Body)
			again, err := terms(d).Prepare(request(path, once))
			require.NoError(t, err)
			require.Equal(t, once, string(again.Body), "what is set is set")
			if d == model.Gemini {
				require.Equal(t, body, once)
			}
		}
	})
}
