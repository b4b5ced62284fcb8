# rules.pl PROGRAMS TRACES PROCESS... - compares what processes called with the rules of their
# seccomp filters, and prints TAP: a rule that nothing uses is a right without a reason.
#
# PROGRAMS is the folder of the programs, which print their rules.  TRACES has one file for each
# task, NAME.PID, by strace -e raw='!execve'.  A task has the filters that it loaded, and those of
# the task that made it.  A call counts for the narrowest rules that it fits.  A rule that names a
# descriptor counts if as many different descriptors were seen as there are such rules.  A rule with
# an error number grants nothing, and needs no use.
#
# The files policy.unused say which rules are not seen in use, and why (privhelper/policy.unused).
# A line `never` must not be seen in use either: its reason would be out of date.
# Environment: RULES_DM, RULES_LANDLOCK: empty, if the kernel has none.
use strict;
use warnings;
no warnings 'portable', 'recursion';

my ($programs, $traces, @processes) = @ARGV;
my ($n, $bad) = (0, 0);
sub say_test {
	my ($ok, $name, @why) = @_;
	$n++;
	$bad ||= !$ok;
	print $ok ? "ok" : "not ok", " $n - $name\n", map { "# $_\n" } @why;
}
sub short { # short PROCESS: its name in the tables
	my ($name) = @_;
	return "check-db" if $name =~ /--check-db$/;
	return $name =~ s/^(VMM |banger-)//r;
}

# ---- the rules ----
# The values of variables that are not descriptors: the flags of VMM_SINK; undef: any value.
my %values = (
	"the slots' range" => undef,
	"O_CREAT|O_NONBLOCK with Landlock" => [0x400840, 0x840],
	"O_CREAT|O_NONBLOCK without Landlock" => [0x400840, 0x840],
);
my $absent = $ENV{RULES_LANDLOCK} ? qr/without Landlock/ : qr/with Landlock/;
my (%rules, %of_call);
sub read_rules { # read_rules PROGRAM: those that it prints
	my ($program) = @_;
	my $process;
	local $_;
	open my $policy, "-|", "$programs/$program", "--print-policy" or die "$program: $!";
	while (<$policy>) {
		$process = short($1) if /^(\S.*)/;
		next unless /^    ((\w+)((?: arg\d.*?)?)( -> \w+)?): /;
		my ($text, $call, $args, $refused, %is) = ($1, $2, $3, $4);
		next if $args =~ $absent;
		while ($args =~ /arg(\d)(?: & (0x[0-9a-f]+))? = (?:(0x[0-9a-f]+|0)\b|<([^>]*)>)/g) {
			$is{$1} = defined $4 ? $values{$4} :
				[defined $2 ? hex $2 : 0xffffffff, hex $3];
		}
		my $rule = { text => $text, call => $call, is => \%is, used => 0, fds => {} };
		push @{ $rules{$process} }, $rule if !$refused;
		push @{ $of_call{$process}{$call} }, $rule;
	}
	close $policy or die "$program --print-policy failed";
}
sub fits { # fits RULE ARGUMENTS: the values that the rule states
	my ($rule, $args) = @_;
	for (keys %{ $rule->{is} }) {
		my $want = $rule->{is}{$_} or next;
		return 0 if !defined $args->[$_] || ($args->[$_] & $want->[0]) != $want->[1];
	}
	return 1;
}
sub open_args { # open_args RULE: its arguments without a value
	my ($rule) = @_;
	return grep { !defined $rule->{is}{$_} } sort keys %{ $rule->{is} };
}
sub key_of { # key_of RULE: its call with the values that it states
	my ($rule) = @_;
	my @stated = grep { defined $rule->{is}{$_} } sort keys %{ $rule->{is} };
	return join " ", $rule->{call}, map { "$_=@{ $rule->{is}{$_} }" } @stated;
}
my %calls;
sub credit { # credit PROCESS CALL ARGUMENTS: what the call uses
	my ($process, $call, $args) = @_;
	$calls{$process}++;
	my @called = @{ $of_call{$process}{$call} // [] };
	my @fit = grep { fits($_, $args) } @called;
	my @open = grep { open_args($_) } @fit;
	my @narrow = sort { keys %{ $b->{is} } <=> keys %{ $a->{is} } }
		grep { %{ $_->{is} } && !open_args($_) } @fit;
	if (@narrow) {
		@narrow = grep { keys %{ $_->{is} } == keys %{ $narrow[0]{is} } } @narrow;
		# Of two rules that both allow it, the call shows the need of neither.
		my %texts = map { $_->{text} => 1 } @narrow;
		$_->{used}++ for keys %texts == 1 ? @narrow : ();
		return;
	}
	$_->{used}++ for grep { !%{ $_->{is} } } @fit;
	for my $rule (@open) {
		my ($arg) = open_args($rule);
		my $key = key_of($rule);
		$rule->{fds}{ $args->[$arg] } = 1;
		my @same = grep { key_of($_) eq $key && open_args($_) } @called;
		if (keys %{ $rule->{fds} } >= @same) { $_->{used}++ for @same }
	}
}

# ---- the traces ----
my (%lines, %maker);
sub read_traces {
	for my $file (glob "$traces/*.*") {
		my ($pid) = $file =~ /\.(\d+)$/ or next;
		open my $trace, "<", $file or die "$file: $!";
		$lines{$pid} = [<$trace>];
		/^(?:clone3?|v?fork)\(.*\) += (0x[0-9a-f]+)$/ and $maker{ hex $1 } = 1
			for @{ $lines{$pid} };
	}
}
sub started { # started STATE TEXT: it executes another program
	my ($s, $text) = @_;
	my ($name) = $text =~ m{^"(?:[^"]*/)?([^"/]*)"};
	$name .= " --check-db" if $text =~ /"--check-db"/;
	@$s{qw(name forked)} = (short($name), 0);
	# CHILD has loaded its VMM's filter before.
	s/^\?$/$name =~ \/qemu\/ ? "qemu" : short($name)/e for @{ $s->{filters} };
}
sub filtered { # filtered STATE: it has loaded a filter
	my ($s) = @_;
	my $filters = $s->{filters};
	if (!@$filters) {
		my $launcher = $s->{name} eq "role-spawn" && $s->{forked};
		push @$filters, $launcher ? "launcher" : $s->{name};
	} elsif ("@$filters" eq "launcher") {
		push @$filters, "?"; # the first of CHILD; a VMM's own follow
	}
}
sub follow { # follow PID STATE: a task, from its first call on, and those that it makes
	my ($pid, $state) = @_;
	my %s = (%$state, filters => [@{ $state->{filters} }]);
	for (@{ $lines{$pid} // [] }) {
		my ($call, $text) = /^(\w+)\((.*)/ or next;
		my ($ret) = $text =~ /\) += (\S+)/;
		$ret //= "?";
		my @args = $call eq "execve" ? () :
			map { hex } ($text =~ /^([^)<]*)/)[0] =~ /0x[0-9a-f]+|\b0\b/g;
		started(\%s, $text) if $call eq "execve" && $ret eq "0";
		credit($_, $call, \@args) for @{ $s{filters} };
		# Other calls of seccomp(2) ask what the kernel can.
		filtered(\%s) if $call eq "seccomp" && $ret eq "0" && $args[0] == 1;
		next if $call !~ /^(clone3?|v?fork)$/ || $ret !~ /^0x/;
		my $thread = $call eq "clone" && $args[0] & 0x10000;
		follow(hex $ret, { %s, forked => $thread ? $s{forked} : 1 });
	}
}

# ---- the reasons of rules that are not seen in use ----
my @reasons;
sub read_reasons {
	for my $file (glob "privhelper/policy.unused {privhelper,controller}/*/policy.unused " .
		"controller/policy.unused") {
		open my $table, "<", $file or next;
		while (<$table>) {
			chomp;
			next if /^(#|$)/;
			/^(never|maybe|no-dm)\s+(\S+)\s+(.*?): (.+)$/ or die "$file: $_";
			push @reasons, { file => $file, kind => $1, rule => $3, why => $4,
				named => 0, of => { map { $_ => 1 } split /,/, $2 } };
		}
	}
}
sub reason { # reason PROCESS TEXT: that of a rule; undef: there is none
	my ($process, $text) = @_;
	my @r = grep { ($_->{of}{$process} || $_->{of}{all}) &&
		$text =~ /^\Q$_->{rule}\E( |$)/ } @reasons;
	$_->{named} = 1 for @r;
	my ($own) = grep { $_->{of}{$process} } @r;
	my $found = $own // $r[0];
	return $found && $found->{kind} eq "no-dm" && $ENV{RULES_DM} ? undef : $found;
}

sub judge { # judge PROCESS RULE
	my ($process, $rule) = @_;
	my $name = "$process: $rule->{text} is used";
	my $reason = reason($process, $rule->{text});
	if ($rule->{used}) {
		return say_test(1, $name) if !$reason || $reason->{kind} ne "never";
		say_test(0, "$process: $rule->{text} is not used", "$reason->{file} says so: " .
			"the line is out of date");
	} elsif ($reason) {
		$n++;
		print "ok $n - $name # SKIP $reason->{why}\n";
	} else {
		say_test(0, $name, "nothing uses it: take it out of the table, " .
			"or give its reason in policy.unused");
	}
}

read_rules($_) for "banger-privhelper", "banger-unpack";
read_traces();
read_reasons();
follow($_, { name => "", forked => 0, filters => [] })
	for grep { !$maker{$_} } sort { $a <=> $b } keys %lines;
# The launcher has the rules of all VMMs, because a filter stays over execve(2).
my %vmms = map { $_->{text} => 1 } map { @{ $rules{$_} } } qw(qemu firecracker kvmprobe);
for my $process (@processes) {
	my $calls = $calls{$process} // 0;
	say_test($calls > 20, "$process: its calls are seen ($calls)");
	my %said;
	for my $rule (@{ $rules{$process} }) {
		next if $said{ $rule->{text} }++;
		next if $process eq "launcher" && $vmms{ $rule->{text} };
		judge($process, $rule);
	}
}
for my $reason (grep { !$_->{named} } @reasons) {
	next if grep { my $p = $_; !grep { $_ eq $p } @processes } keys %{ $reason->{of} };
	my $of = join ", ", sort keys %{ $reason->{of} };
	say_test(0, "$reason->{file}: '$reason->{rule}' is a rule of $of");
}
print "1..$n\n";
exit $bad;
