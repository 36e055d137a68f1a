// Package pollsource finds changes by asking, at an interval. It is for what
// other sources cannot see: writes by other programs, by triggers, by hand.
package pollsource
