package status

import "encoding/json"

// Family is the status of a family, or of the members that a binding has for an
// authorizer's scopes.
type Family struct {
	// Name is the binding's name. Params are the names of the parameters.
	Name   string   `json:"name"`
	Params []string `json:"params"`
	// Alive is the number of existing members, at most Max. InUse of them are in use.
	Alive int `json:"alive"`
	InUse int `json:"in_use"`
	Max   int `json:"max"`
	// Opened counts the members created, Retired those ended because they were idle,
	// Evicted those that made room for another, and Refused the requests for which there
	// was no room.
	Opened  uint64 `json:"opened"`
	Retired uint64 `json:"retired"`
	Evicted uint64 `json:"evicted"`
	Refused uint64 `json:"refused"`
}

// MarshalJSON encodes an empty list of parameters as an array too.
func (f Family) MarshalJSON() ([]byte, error) {
	type plain Family
	f.Params = listed(f.Params)
	return json.Marshal(plain(f))
}
