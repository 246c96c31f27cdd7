package egress

// fork adds a fork, unless it has come to nothing or is at one with another. Where there
// are too many, the shallowest is the least likely.
func (w *walk) fork(f *thread) {
	if f.state == 0 {
		return
	}
	least := 0
	for i := range w.forks {
		if w.forks[i].same(f) {
			return
		}
		if w.depth(&w.forks[i]) < w.depth(&w.forks[least]) {
			least = i
		}
	}
	switch {
	case len(w.forks) < maxForks:
		w.forks = append(w.forks, *f)
	case w.depth(f) > w.depth(&w.forks[least]):
		w.forks[least] = *f
	}
}

func (w *walk) depth(t *thread) int32 { return w.nodes[t.state].depth }

// shorten drops what no thread needs of the trail.
func (w *walk) shorten() {
	ends, counts := []*int32{&w.main.last}, []int32{w.depth(&w.main)}
	for i := range w.forks {
		ends, counts = append(ends, &w.forks[i].last), append(counts, w.depth(&w.forks[i]))
	}
	w.trail.shorten(ends, counts)
}
