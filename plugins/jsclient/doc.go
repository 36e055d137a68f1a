// Package jsclient serves Bindery's JavaScript client to browsers, so that a
// page has the client that fits its server, without a package manager and
// without another host.
//
// # Setup
//
// [New] takes the Echo group under which the module appears:
//
//	reg.Use(jsclient.New(e.Group("/bindery")))
//
// A page then writes
//
//	import { connect } from "/bindery/bindery.js";
//
// The folder npm holds the same files as the package @binderyhq/client.
//
// # Files
//
//	bindery.js   the client: connections, live collections
//	lib/         the modules that it is made of
//	react.js     useBinding for React; imports "react", which the page maps
//	tanstack.js  bindingCollectionOptions for TanStack DB
//	bindery.tgz  all of it as an npm package
//
// and the types of each (.d.ts). bindery.js is there as index.js too, which is
// its name in the package. An application that is built with npm installs the
// client from the server:
//
//	npm install https://shop.example/bindery/bindery.tgz
//
// # Caching
//
// Answers bear a strong ETag. By default browsers ask for the entry again each
// time, which costs a 304: a page never runs with the client of another release.
// The modules behind it are in a folder whose name changes with their content, and
// are kept for a year. While servers of two releases answer, one serves its own
// modules under the other's name, and lets nobody keep them. See [Config].
package jsclient
