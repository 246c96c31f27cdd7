package limit

// Arrive is Enter up to where it would wait.
func (g *Gate) Arrive(keys ...Key) (*Pass, error) { return g.arrive(keys) }

// Entered reports whether the call is inside.
func (p *Pass) Entered() bool {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	return p.entered
}

// GaveWay reports whether a waiting call had to make room for another's.
func (p *Pass) GaveWay() bool {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	return p.refused != nil
}
