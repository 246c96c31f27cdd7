package model_test

import (
	"io"
	"strings"
	"testing"

	"github.com/onedoor/onedoor/server/model"
)

func BenchmarkModel(b *testing.B) {
	body := `{"model":"m-1","max_tokens":100,"stream":true,"messages":[` + strings.Repeat(`{"role":"user","content":"some words of a conversation, and some \"more\""},`, 1300) + `{"role":"user","content":"x"}]}`
	t := terms(model.OpenAI)
	b.Run("prepare 100 KB", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := t.Prepare(request(chatPath, body)); err != nil {
				b.Fatal(err)
			}
		}
	})
	stream := strings.Repeat("data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"word\"}}],\"usage\":null}\n\n", 1000)
	for name, how := range map[string]string{"events, held": quiet, "events, passing": asking} {
		c, err := t.Prepare(request(chatPath, how))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.Copy(io.Discard, c.Meter(sse, io.NopCloser(strings.NewReader(stream)))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
