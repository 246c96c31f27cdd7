package model

import (
	"errors"
	"io"
	"mime"
)

// mostHeld bounds what is held of an event that may have to be dropped. A longer one
// is none of those: it goes on as it comes.
const mostHeld = 1 << 20

// Meter is an answer on its way to the caller, read along. Every byte goes on as it
// comes, but for the one event of usage that the caller did not ask for; only while
// that may come is an event held until its end.
type Meter struct {
	source io.ReadCloser
	call   *Call
	read   reading
	pick   *pick
	events *events // nil: one JSON text, or several in an array

	ready   []byte
	held    []byte
	passing bool // the event is too long to be held
	dropped bool // the event before was dropped
	err     error
}

// reading is what an answer has said so far.
type reading struct {
	stream bool
	name   string // of the model
	used   Usage
	seen   bool  // used is the provider's
	input  bool  // … and its input is whole
	last   bool  // … and final if the answer ends here
	final  bool  // … and nothing more is to come
	bytes  int64 // of the answer
}

func (r *reading) model(raw []byte) {
	if n := len(r.name); len(raw) == n+2 && string(raw[1:n+1]) == r.name {
		return // as in the event before
	}
	if name := text(raw); name != "" {
		r.name = name
	}
}

// use takes what the provider says, and reports whether it did. What is not sound leaves
// things as they were, and they are not final then.
func (r *reading) use(u Usage, sound bool) bool {
	if r.last, r.final = false, false; sound {
		r.used, r.seen = u, true
	}
	return sound
}

// Meter reads along with an answer of some content type.
func (c *Call) Meter(contentType string, source io.ReadCloser) *Meter {
	m := &Meter{source: source, call: c}
	kind, _, _ := mime.ParseMediaType(contentType) // what cannot be read is not metered
	switch {
	case c.dialect == nil || c.endpoint == free:
	case kind == "text/event-stream":
		m.read.stream = true
		m.pick = newPick(c.dialect.places(c.endpoint, true))
		m.events = newEvents(m.pick)
	case kind == "application/json":
		m.pick = newPick(c.dialect.places(c.endpoint, false))
	}
	return m
}

// Read implements io.Reader.
func (m *Meter) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(m.ready) == 0 && m.err == nil {
		var n int
		n, m.err = m.source.Read(p)
		m.read.bytes += int64(n)
		if m.feed(p[:n]); errors.Is(m.err, io.EOF) {
			m.end()
		} else if m.err != nil {
			m.release() // it broke off: what came is handed over
		}
		if !m.holds() && n > 0 {
			return n, nil // what was read stands in p already
		}
	}
	if len(m.ready) == 0 {
		return 0, m.err
	}
	n := copy(p, m.ready)
	m.ready = m.ready[n:]
	return n, nil
}

// Close implements io.Closer: the exchange ends, wherever it stands.
func (m *Meter) Close() error { return m.source.Close() }

// holds reports whether events are held until their end.
func (m *Meter) holds() bool { return m.events != nil && m.call.quiet }

func (m *Meter) feed(text []byte) {
	switch {
	case m.pick == nil:
	case m.events == nil:
		for len(text) > 0 {
			if text = text[m.pick.feed(text):]; m.pick.ended {
				m.note()
				m.pick.next()
			}
		}
	default:
		m.feedEvents(text)
	}
}

// note has the dialect look at what was found in one answer, element or event.
func (m *Meter) note() {
	if m.pick.base > 0 {
		m.read.stream = true // Gemini streams an array where no events are asked for
	}
	m.call.dialect.note(m.call.endpoint, m.pick.found, &m.read)
}

func (m *Meter) feedEvents(text []byte) {
	for len(text) > 0 {
		n, ended, tail := m.events.next(text)
		piece := text[:n]
		text = text[n:]
		switch {
		case tail && m.dropped, !m.holds() && !ended:
		case tail, m.passing && !ended:
			m.ready = append(m.ready, piece...)
		default:
			m.hold(piece, ended)
		}
	}
}

func (m *Meter) hold(piece []byte, ended bool) {
	if m.holds() {
		if m.held = append(m.held, piece...); m.passing || len(m.held) > mostHeld {
			m.release()
			m.passing = true
		}
	}
	if ended {
		m.endEvent()
	}
}

// endEvent judges one event.
func (m *Meter) endEvent() {
	if m.dropped = false; m.events.done() {
		m.read.final = m.read.final || m.read.last
	} else if m.events.lines > 0 {
		m.note()
		m.dropped = m.holds() && !m.passing && m.unasked()
	}
	if m.events.reset(); m.dropped {
		m.held = m.held[:0]
	}
	m.release()
	m.passing = false
}

// unasked reports whether the event is the one that include_usage adds: no choices,
// and usage.
func (m *Meter) unasked() bool {
	usage := m.pick.found(atUsage)
	return string(m.pick.found(atChoices)) == "[]" && len(usage) > 0 && usage[0] == '{'
}

// release hands over what is held.
func (m *Meter) release() {
	m.ready = append(m.ready, m.held...)
	m.held = m.held[:0]
}

// end is the end of an answer that is whole: its last event may lack its blank line,
// and what was said last is final.
func (m *Meter) end() {
	if m.events != nil && (m.events.lines > 0 || len(m.held) > 0) {
		m.endEvent()
	}
	if m.events != nil || m.pick != nil && m.pick.depth == 0 {
		m.read.final = m.read.final || m.read.last
	}
}
