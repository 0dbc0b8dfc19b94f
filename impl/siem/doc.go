// Package siem hands the audit trail to who collects logs: as lines of JSON or in the Common Event Format (CEF), to a file, a stream
// or a syslog server over TLS (RFC 5424, RFC 5425).
//
// Events come in the order of their ids, and only once none can come before them any more (see [pin.AuditQuery]). How far it has
// come stands in a cursor's file, which is replaced after each batch. With it stands how long the output's file was: what a process
// wrote there before it was killed, and did not live to note, is cut off when the next one goes on. So a file has every
// event exactly once. What was sent cannot be cut off: a batch whose end the receiver did not confirm is sent again, and the event's
// id tells who has it already.
//
// It takes no key, and knows events and neither cards nor a database.
package siem
