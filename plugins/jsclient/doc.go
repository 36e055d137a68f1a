// Package jsclient serves Bindery's JavaScript client to browsers. A page therefore
// always has the client of its server's release, and needs neither a package manager
// nor another host.
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
// and the types of each (.d.ts). bindery.js is also served as index.js, its name in the
// package. An application that is built with npm installs the client from the server:
//
//	npm install https://shop.example/bindery/bindery.tgz
//
// # Caching
//
// Answers have a strong ETag. By default browsers ask for bindery.js again each time,
// which costs a 304, so a page never runs the client of another release. The modules that
// it imports are in a folder whose name changes with their content, and browsers keep them
// for a year. During a deploy a server may be asked for the modules of another release. It
// then serves its own modules, which caches may not keep. See [Config].
package jsclient
