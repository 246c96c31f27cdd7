package grant

// Pinned is where a task stands with a connector.
type Pinned struct {
	// Held: some grant names the connector.
	Held bool
	// Named: some grant names the tool too.
	Named bool
	// Revision is the connector's revision on which the task runs.
	Revision int64
}

// Pinned looks up where the task stands with a connector and one of its tools. All
// grants of a task for one connector are pinned to one revision when it is minted.
func (s *Set) Pinned(connector, tool string) Pinned {
	if x := s.tools[toolKey{connector, tool}]; x != nil {
		return Pinned{Held: true, Named: true, Revision: x.grants[0].Revision}
	}
	for i := range s.grants {
		if g := &s.grants[i]; g.Connector == connector {
			return Pinned{Held: true, Revision: g.Revision}
		}
	}
	return Pinned{}
}
