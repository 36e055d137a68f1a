// Package arguments reads what clients send to choose rows: values for the parameters
// of a family, in the forms that URLs, JSON and Go have for them, and filters that
// narrow a binding. Whatever is wrong with it is explained in words that a client may
// see, and its size is bounded.
package arguments
