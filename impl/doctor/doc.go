// Package doctor looks after a server from outside: [Look] says what there is, [Examine] what is wrong and what to do.
//
// It uses the settings that a server would have and reads what a server would read, and changes nothing. What is wrong is decided
// by functions of what was found alone; those who look only fetch it.
//
// It knows settings, keys, the database and the machine, and no contract.
package doctor
