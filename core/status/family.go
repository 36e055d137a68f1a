package status

// Family is what is known about a family, or about the members that an
// authorizer's scopes have made of a binding.
type Family struct {
	// Name is the binding's name, Params names the parameters.
	Name   string   `json:"name"`
	Params []string `json:"params"`
	// Alive is the number of members, of which InUse are in use; Max bounds it.
	Alive int `json:"alive"`
	InUse int `json:"in_use"`
	Max   int `json:"max"`
	// Opened counts the members that came alive, Retired those that had been
	// idle for long enough, Evicted those that made room for another, and
	// Refused the requests for which there was none.
	Opened  uint64 `json:"opened"`
	Retired uint64 `json:"retired"`
	Evicted uint64 `json:"evicted"`
	Refused uint64 `json:"refused"`
}
