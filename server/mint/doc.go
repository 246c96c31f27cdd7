// Package mint makes tasks and ends them. What a task may do is fixed here, before
// it starts: tool patterns are expanded against the connectors as they stand, the
// revision is pinned, and every bound of the orchestrator's configuration is checked.
// Nothing later widens it.
package mint
