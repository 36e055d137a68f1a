// Package socket serves WebSocket connections for the transports. They are melody's,
// with one message in flight, close codes that say why, and deadlines that move seldom.
package socket
