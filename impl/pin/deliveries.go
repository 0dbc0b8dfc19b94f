package pin

// DeliveryState is how far a delivery has come.
type DeliveryState string

// The states.
const (
	DeliveryPending   DeliveryState = "pending"
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryParked    DeliveryState = "parked" // nobody tries any more
)

// Delivery is an event that is to be sent to a webhook, or was. It says nothing that the event does not say: what is sent is
// read from the event. It is written with the event, see [Change]; who sends it (impl/outbox) goes to the database for it and
// not through the vault. Times are microseconds since 1970.
type Delivery struct {
	Chain     string
	WebhookID string
	Seq       int64 // the event's place in its chain
	EventID   string
	State     DeliveryState
	Attempts  int64 // that were begun
	DueAt     int64 // when it may be tried, again too if whoever took it is gone
	CreatedAt int64
	FirstAt   int64  // of the first attempt, 0 before
	DoneAt    int64  // when it was delivered or parked, 0 before
	Status    int64  // of the last reply, 0 without
	Failure   string // of the last attempt, as a word; "" of none
}

// Waiting is what waits for one webhook.
type Waiting struct {
	WebhookID string
	Count     int64
	Oldest    int64 // when it was made, microseconds since 1970
}
