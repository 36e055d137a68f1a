// Package wireharness has the common part of the conformance tests of this module's
// transports: a server for the suite, and the translation of messages of core/wire into
// those of transporttest.
package wireharness
