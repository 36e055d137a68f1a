// Package authorizing asks an application's authorizer: one question at a time, within
// bounds that hold even for an authorizer that never answers ([Questions]), and again
// about those who go on to see what it has allowed ([Subscribers]).
package authorizing
