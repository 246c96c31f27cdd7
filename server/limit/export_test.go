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

// Remembered is how many keys are remembered.
func (g *Gate) Remembered() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.pools)
}

// Remembered is how many names are remembered.
func (f *Failures) Remembered() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.byName)
}
