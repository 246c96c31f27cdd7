package model

import "bytes"

// events splits a stream of server-sent events as it comes (WHATWG HTML, 9.2.6), and
// hands the data of each to a pick. It holds none of it.
type events struct {
	pick *pick

	begun  bool // the stream's first line is behind
	cr     bool // a CR ended the line before: an LF belongs to it
	fresh  bool // an event has just ended
	blank  bool // nothing stands on this line yet
	head   []byte
	isData bool
	first  bool   // the first byte behind "data:" is still to come
	lines  int    // lines of data in this event
	short  []byte // the data, if it is no longer than a mark like [DONE]
}

const (
	dataField = "data:"
	byteOrder = "\xef\xbb\xbf"
	doneMark  = "[DONE]"
)

func newEvents(p *pick) *events { return &events{pick: p, blank: true} }

// next reads text up to the end of an event. It gives how much that was, and whether
// the event ended there. tail says that it is only an LF that belongs to the event
// before, whose CR had come already.
func (e *events) next(text []byte) (n int, ended, tail bool) {
	if e.cr && len(text) > 0 && text[0] == '\n' {
		e.cr = false
		if e.fresh {
			return 1, false, true
		}
		n = 1
	}
	e.fresh = false
	for n < len(text) {
		i := bytes.IndexAny(text[n:], "\r\n")
		if i < 0 {
			e.part(text[n:])
			e.cr = false
			return len(text), false, false
		}
		e.part(text[n : n+i])
		n += i + 1
		wasBlank := e.blank
		if e.cr = text[n-1] == '\r'; e.cr && n < len(text) && text[n] == '\n' {
			e.cr = false
			n++
		}
		e.endLine()
		if wasBlank {
			e.fresh = true
			return n, true, false
		}
	}
	return n, false, false
}

// part reads a part of a line.
func (e *events) part(text []byte) {
	if len(text) == 0 {
		return
	}
	e.blank = false
	for !e.isData && len(text) > 0 && len(e.head) < len(byteOrder)+len(dataField) {
		e.head = append(e.head, text[0])
		text = text[1:]
		name := e.head
		if !e.begun {
			name = bytes.TrimPrefix(name, []byte(byteOrder))
		}
		if string(name) == dataField {
			e.isData, e.first = true, true
			if e.lines++; e.lines > 1 {
				e.data([]byte{'\n'})
			}
		}
	}
	if !e.isData || len(text) == 0 {
		return
	}
	if e.first && text[0] == ' ' {
		text = text[1:]
	}
	e.first = false
	e.data(text)
}

func (e *events) data(text []byte) {
	if len(e.short) <= len(doneMark) {
		e.short = append(e.short, text[:min(len(text), len(doneMark)+1)]...)
	}
	for len(text) > 0 && !e.pick.ended {
		text = text[e.pick.feed(text):]
	}
}

func (e *events) endLine() {
	e.begun, e.blank, e.isData = true, true, false
	e.head = e.head[:0]
}

// done reports whether the event is the mark with which OpenAI's streams end.
func (e *events) done() bool { return string(bytes.TrimSpace(e.short)) == doneMark }

// reset begins a new event.
func (e *events) reset() {
	e.lines, e.short = 0, e.short[:0]
	e.pick.reset()
}
