// Package duplex has the common part of WebSocket and Socket.IO: their options, and the
// types that serve sessions in both directions.
package duplex
