package core

import (
	"time"

	"github.com/binderyhq/bindery/core/live"
)

// DeliveryObserver is implemented by plugins that follow a change to the clients.
type DeliveryObserver interface {
	// Delivered is called after a transport has written an event to a client, if
	// [live.Event.Context] is not nil: who observes batches has put something into
	// it. It is called by the goroutine that writes, for each client, and must not
	// block; calls are concurrent. A panic is logged and the plugin is kept.
	Delivered(d Delivery)
}

// Delivery is an event that was written to a client.
type Delivery struct {
	Transport string
	View      *live.View
	Event     *live.Event
	// Began is when the transport took the event up.
	Began time.Time
}

// Delivered tells plugins that an event was written to a client, see
// [DeliveryObserver]. Transports call it, without a lock, for events whose
// [live.Event.Context] is not nil.
func (r *Registry) Delivered(transport string, v *live.View, e *live.Event, began time.Time) {
	r.observers.onDelivered(Delivery{Transport: transport, View: v, Event: e, Began: began})
}
