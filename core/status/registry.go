package status

// Registry is how everything in a registry is. Lists are in order of registration.
type Registry struct {
	// Bindings are all bindings: in the place of a family its members that are
	// alive, and after a binding the members that an authorizer's scopes have made
	// of it.
	Bindings []Binding `json:"bindings"`
	// Families are the families, and the bindings of which an authorizer's scopes
	// have made members.
	Families []Family `json:"families"`
	Sources  []Source `json:"sources"`
	// Tables are the feeds, one for each table.
	Tables []Feed `json:"tables"`
	// Origins are the nodes whose bindings are followed.
	Origins []Origin `json:"origins,omitempty"`
	// Transports are those that the registry serves.
	Transports []Transport `json:"transports"`
	// Memory is what all bindings keep.
	Memory Memory `json:"memory"`
	// Marks are those that were made and waited for.
	Marks Marks `json:"marks"`
}
