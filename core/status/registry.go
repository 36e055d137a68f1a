package status

import "encoding/json"

// Registry is the status of everything in a registry. Lists are in order of registration.
type Registry struct {
	// Bindings are all bindings. A family is replaced by its existing members, and a
	// binding is followed by its members for an authorizer's scopes.
	Bindings []Binding `json:"bindings"`
	// Families are the families, and the bindings with members for an authorizer's scopes.
	Families []Family `json:"families"`
	Sources  []Source `json:"sources"`
	// Tables are the feeds, one for each table.
	Tables []Feed `json:"tables"`
	// Origins are the nodes that bindings follow.
	Origins []Origin `json:"origins,omitempty"`
	// Transports are the registry's transports.
	Transports []Transport `json:"transports"`
	// Memory is the memory of all bindings.
	Memory Memory `json:"memory"`
	// Marks holds the counters of marks.
	Marks Marks `json:"marks"`
}

// MarshalJSON encodes empty lists as arrays too.
func (r Registry) MarshalJSON() ([]byte, error) {
	type plain Registry
	r.Bindings, r.Families, r.Sources = listed(r.Bindings), listed(r.Families), listed(r.Sources)
	r.Tables, r.Transports = listed(r.Tables), listed(r.Transports)
	return json.Marshal(plain(r))
}

// listed returns the list, and an empty one for nil, which JSON encodes as null.
func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
