# Runs one NS file in a safe Tcl interpreter and writes down what it does; what that means is decided elsewhere.
#
#   tclsh recorder.tcl SCRIPT SECONDS OBJECTS PID EID
#
# Standard output gets one record a line: kind, line of the script, fields, separated by US (0x1f); backslash, newline
# and US inside a field are escaped. The parent closes standard input once the limits of this process are in place.
#
# The script's own objects are commands in the inner interpreter. They keep just enough state here to have the right
# names: an object takes the name of the first global variable that it is assigned to (Emulab: ns2ir/parse.tcl).

lassign $argv script seconds objects pid eid
read stdin
chan configure stdout -encoding utf-8 -translation lf -buffering full -buffersize 65536

set escapes [list \\ \\\\ \n \\n \x1f \\u]
proc emit {args} {
    puts stdout [join [lmap field $args {string map $::escapes $field}] \x1f]
}

proc pathname {operation args} {
    switch -- $operation {
        join - tail - dirname - rootname - extension - split - pathtype {
            return [file $operation {*}$args]
        }
        exists - readable - isfile {
            if {[file tail [lindex $args 0]] eq "tb_compat.tcl"} {
                return 1
            }
        }
    }
    return -code error -errorcode [list BENITO REFUSED "file $operation"] "file $operation"
}

set inner [interp create -safe]
interp alias $inner ::benito::emit {} emit
interp alias $inner ::file {} pathname
set own [dict get [info frame 0] file]
interp eval $inner [list namespace eval ::benito [list variable recorder $own limit $objects]]
interp eval $inner [list namespace eval ::GLOBALS [list variable pid $pid gid $pid eid $eid]]

set machinery {
    namespace eval ::benito {
        variable pending {}
        variable objects 0
        variable simulator 0
        variable others 0
        variable class
        variable name
        variable value
        variable handle
        variable notices 0
        foreach command {set interp puts} {
            rename ::$command ::benito::$command
        }
        variable known {
            Simulator Program Disk Custom EventGroup EventTimeline EventSequence Firewall Topography Console Path Blockstore
            Agent/UDP Agent/TCP Agent/Null Agent/TCPSink Agent/TCP/FullTcp Agent/TCP/FullTcp/Reno
            Agent/TCP/FullTcp/Newreno Agent/TCP/FullTcp/Tahoe Agent/TCP/FullTcp/Sack
            Application/Traffic/CBR Application/FTP Application/Telnet
        }
    }

    # The line of the user's source that runs now: the innermost frame that lies in the script.
    proc ::benito::line {} {
        variable recorder
        for {set level [expr {[info frame] - 2}]} {$level > 0} {incr level -1} {
            set frame [info frame $level]
            if {[dict exists $frame file] && [dict get $frame file] ne $recorder} {
                return [dict get $frame line]
            }
        }
        return 0
    }

    proc ::benito::record {kind args} {
        emit $kind [line] {*}$args
    }

    # Make the command that stands for a new object and record it; the fields follow id, class and name.
    proc ::benito::make {kind label args} {
        variable objects
        variable limit
        variable class
        variable name
        variable handle
        if {[incr objects] > $limit} {
            return -code error -errorcode {BENITO OBJECTS} "more than $limit objects"
        }
        set class($objects) $kind
        set name($objects) $label
        set handle($label) $objects
        interp alias {} ::$label {} ::benito::call $objects
        record new $objects $kind $label {*}$args
        return $label
    }

    # Make an object that the next assignment to a global variable names.
    proc ::benito::named {kind label args} {
        variable pending
        set pending [make $kind $label {*}$args]
    }

    proc ::benito::elements {text} {
        if {[catch {llength $text}]} {
            return [split [string trim $text]]
        }
        return [list {*}$text]
    }

    proc ::set {name args} {
        if {[llength $args] != 1} {
            tailcall ::benito::set $name {*}$args
        }
        if {[string match opt(*) $name]} {
            ::benito::record opt [string range $name 4 end-1] [lindex $args 0]
        }
        if {$::benito::pending eq {}} {
            tailcall ::benito::set $name [lindex $args 0]
        }
        ::benito::set value [uplevel 1 [list ::benito::set $name [lindex $args 0]]]
        ::benito::set variable [string trimleft [lindex [split $name (] 0] :]
        if {![uplevel #0 [list info exists $variable]]} {
            return $value
        }
        if {$value eq $::benito::pending} {
            ::benito::set value [::benito::christen $value [string trimleft [string map {( - ) {}} $name] :]]
        }
        ::benito::set ::benito::pending {}
        tailcall ::benito::set $name $value
    }

    proc ::benito::christen {old new} {
        variable name
        variable handle
        if {[namespace which -command ::$new] ne {}} {
            # Emulab gives up here. Going on with the older object of that name finds the other faults of the file.
            record clash $old $new
            return [expr {[info exists handle($new)] ? $new : $old}]
        }
        set id $handle($old)
        unset handle($old)
        set handle($new) $id
        rename ::$old ::$new
        set name($id) $new
        record rename $id $new
        return $new
    }

    proc ::new {kind args} {
        variable ::benito::known
        if {$kind ni $::benito::known} {
            return [::benito::make Null null[incr ::benito::others] $kind {*}$args]
        }
        ::benito::named $kind $kind[incr ::benito::others] {*}$args
    }

    # Every method call of every object comes through here.
    proc ::benito::call {id method args} {
        variable class
        variable name
        variable value
        switch -- $method {
            info {
                if {[lindex $args 0] eq "class"} {
                    if {[llength $args] == 1} {
                        return $class($id)
                    }
                    return [string match "[lindex $args 1]*" $class($id)]
                }
            }
            set {
                if {[llength $args] == 2} {
                    record call $id set {*}$args
                    return [set value($id,[lindex $args 0]) [lindex $args 1]]
                }
                tailcall ::benito::property $id [lindex $args 0]
            }
        }
        switch -- $class($id) {
            Simulator {
                tailcall ::benito::simulator $id $method {*}$args
            }
            Node - Bridge {
                tailcall ::benito::node $id $method {*}$args
            }
            SimplexLink - LanLink {
                if {$method eq "queue"} {
                    variable others
                    return [make Queue benito-queue[incr others] $id]
                }
            }
            EventTimeline - EventSequence {
                if {$method eq "at" || $method eq "append"} {
                    tailcall ::benito::schedule $id $method {*}$args
                }
            }
            Null {
                return {}
            }
        }
        record call $id $method {*}$args
        return {}
    }

    proc ::benito::property {id key} {
        variable class
        variable name
        variable value
        variable others
        if {$key in {toqueue fromqueue} && $class($id) eq "Link"} {
            return [make Queue benito-queue[incr others] $id $key]
        }
        if {[info exists value($id,$key)]} {
            return $value($id,$key)
        }
        record call $id get $key
        return {}
    }

    proc ::benito::node {id method args} {
        variable name
        variable others
        switch -- $method {
            program-agent {
                return [named Program Program[incr others] $name($id) {*}$args]
            }
            disk-agent {
                return [named Disk Disk[incr others] $name($id) {*}$args]
            }
            custom-agent {
                return [named Custom Custom[incr others] $name($id) {*}$args]
            }
            console {
                return [make Console $name($id)-console[incr others] $name($id)]
            }
        }
        record call $id $method {*}$args
        return {}
    }

    # Methods of $ns that make objects or take Tcl lists; the others are recorded as they are.
    proc ::benito::simulator {id method args} {
        variable simulator
        variable others
        variable pending
        switch -- $method {
            node {
                return [named Node tbnode-n[incr simulator] {*}$args]
            }
            bridge {
                return [named Bridge tbnode-n[incr simulator] {*}$args]
            }
            duplex-link {
                return [named Link tblink-l[incr simulator] {*}$args]
            }
            make-lan - make-cloud {
                lassign $args members bandwidth delay
                set label tblan-lan[incr simulator]
                return [named Lan $label $method $bandwidth $delay [llength $args] {*}[elements $members]]
            }
            make-san - make-portinvlan {
                set label tblan-lan[incr simulator]
                return [named Lan $label $method ~ 0ms 3 {*}[elements [lindex $args 0]]]
            }
            make-path {
                return [named Path tbpath-path[incr simulator] {*}[elements [lindex $args 0]]]
            }
            blockstore {
                return [named Blockstore tbblk-n[incr simulator]]
            }
            event-timeline {
                return [named EventTimeline tbtl-tl[incr simulator]]
            }
            event-sequence {
                tailcall ::benito::sequence {*}$args
            }
            event-group {
                return [named EventGroup EventGroup[incr others] {*}[elements [lindex $args 0]]]
            }
            link {
                return [make SimplexLink sl[incr others] {*}$args]
            }
            lanlink {
                return [make LanLink ll[incr others] {*}$args]
            }
            at {
                tailcall ::benito::schedule $id at {*}$args
            }
            make-simulated {
                record call $id make-simulated
                tailcall uplevel 0 [lindex $args 0]
            }
            define-template-parameter {
                record call $id $method {*}$args
                tailcall ::set [lindex $args 0] [lindex $args 1]
            }
            rtproto - run - cost - attach-agent - connect - node-config {
                record call $id $method {*}$args
                return {}
            }
        }
        record call $id $method {*}$args
        return [make Null tbnull-null[incr simulator] $method]
    }

    # Sequences are written as a block of lines, substituted where they stand.
    proc ::benito::sequence {{body {}} {handler {}} {fallback {}}} {
        variable simulator
        set label [make EventSequence tbseq-seq[incr simulator] {*}[expr {$handler eq {} ? {} : "catch"}]]
        foreach line [split $body \n] {
            set event [uplevel 1 eval list [list $line]]
            if {[llength $event]} {
                $label append $event
            }
        }
        if {$handler ne {}} {
            record fallback $label {*}[split $fallback \n]
        }
        variable pending $label
        return $label
    }

    # One record for each event of a `;`-separated string; a sequence's events have no time.
    proc ::benito::schedule {id method args} {
        set expected [expr {$method eq "at" ? 2 : 1}]
        if {[llength $args] != $expected} {
            record arity $method $expected {*}$args
            return {}
        }
        # Not with expr, which would turn 0.00001 into 1e-5.
        set time {}
        set parts $args
        if {$method eq "at"} {
            lassign $args time text
            set parts [split $text ";"]
        }
        foreach part $parts {
            if {[catch {llength $part} count]} {
                record badlist $part
            } elseif {$count} {
                record event $id $time {*}$part
            }
        }
        return {}
    }

    proc ::benito::testbed {command args} {
        record tb $command {*}$args
        return {}
    }

    # The start command is an event program named after its node.
    proc ::tb-set-node-startcmd {args} {
        variable ::benito::pending
        ::benito::record tb tb-set-node-startcmd {*}$args
        if {[llength $args] != 2} {
            return {}
        }
        ::benito::set pending {}
        ::benito::set label [lindex $args 0]_startcmd
        if {[namespace which -command ::$label] ne {}} {
            return $label
        }
        ::benito::make Program $label [lindex $args 0] -startcmd
    }

    proc ::unknown {command args} {
        if {[string match tb-* $command]} {
            ::benito::interp alias {} ::$command {} ::benito::testbed $command
            tailcall $command {*}$args
        }
        return -code error -errorcode [list BENITO UNKNOWN $command [::benito::line]] "unknown command \"$command\""
    }

    proc ::source {args} {
        if {[lindex [split [lindex $args end] /] end] in {tb_compat.tcl nstb_compat.tcl}} {
            return {}
        }
        return -code error -errorcode [list BENITO SOURCE [lindex $args end] [::benito::line]] "source [lindex $args end]"
    }

    proc ::puts {args} {
        if {[lindex $args 0] eq "-nonewline"} {
            ::benito::set args [lrange $args 1 end]
        }
        if {[llength $args] > 1 && [lindex $args 0] ni {stdout stderr}} {
            return -code error -errorcode {BENITO REFUSED puts} "puts"
        }
        if {[incr ::benito::notices] <= 100} {
            ::benito::record puts [string range [lindex $args end] 0 500]
        }
        return {}
    }

    proc ::exit {args} {
        return -code error -errorcode {BENITO EXIT} exit
    }

    # The same file always reads the same: time stands still and random numbers start from one seed.
    proc ::clock {operation args} {
        switch -- $operation {
            format {
                return "Thu Jan 01 00:00:00 UTC 1970"
            }
            default {
                return 0
            }
        }
    }
    proc ::after {args} {
        return {}
    }
    proc ::update {args} {
        return {}
    }
    proc ::flush {args} {
        return {}
    }
    expr {srand(42)}

    foreach command {
        exec open socket glob cd pwd load unload fconfigure encoding vwait chan interp fileevent fcopy gets read close
        eof seek tell fblocked
    } {
        proc ::$command {args} [format {
            return -code error -errorcode {BENITO REFUSED %1$s} "%1$s"
        } $command]
    }
    ::benito::set ::argv {}
    ::benito::set ::argc 0
    ::benito::set ::argv0 ns
}
interp eval $inner $machinery
unset machinery
interp recursionlimit $inner 800

# The wall is the parent's; this limit only makes the usual endless loop end with the line that it stood on.
interp limit $inner time -seconds [expr {[clock seconds] + $seconds}] -granularity 100

set failed [catch {interp invokehidden $inner source -encoding utf-8 $script} message options]
if {$failed == 1} {
    set trail [dict get $options -errorinfo]
    if {[string length $trail] > 20000} {
        set trail "[string range $trail 0 9999]\n...\n[string range $trail end-9999 end]"
    }
    emit error 0 [string range $message 0 2000] $trail {*}[dict get $options -errorcode]
}
emit end 0
flush stdout
