package client

import "time"

// SetLinger changes how long the end of an answer is awaited that was closed before it.
func (t *Transport) SetLinger(patience time.Duration) { t.linger = patience }
