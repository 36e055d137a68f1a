// Package resttest has the registries, requests and checks that the tests of package
// rest and of its rooms share.
package resttest
