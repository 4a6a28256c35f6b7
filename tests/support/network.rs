//! Networks of a test's own, which can be cut: namespaces, for which nobody has to be root.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::tool;

/// The address of the far end of a [`Link`].
pub(crate) const FAR: &str = "10.7.0.2";

/// Makes both networks, says which process is in the far one, and keeps them until its stdin ends.
const KEEPER: &str = r#"set -e
    ip link set lo up
    unshare -n sleep infinity & far=$!
    trap 'kill $far' EXIT
    until [ "$(readlink /proc/$far/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.01; done
    ip link add near type veth peer name far netns $far
    ip addr add 10.7.0.1/30 dev near
    ip link set near up
    nsenter -t $far -n sh -c 'ip link set lo up; ip addr add 10.7.0.2/30 dev far; ip link set far up'
    echo $far
    read _ || true"#;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `unshare`, for a command in a network of its own, whose one device is a loopback that is down.
pub(crate) fn apart() -> Command {
    drop(tool("ip", "iproute2"));
    let mut command = tool("unshare", "util-linux");
    command.args(if is_root() { &["-n"][..] } else { &["-r", "-n"] });
    command
}

/// Two networks, and a link between them, which is up.
pub(crate) struct Link {
    keeper: Child,
    _keeps: ChildStdin,
    far: u32,
}

impl Link {
    pub(crate) fn new() -> Self {
        let mut command = apart();
        command.args(["bash", "-c", KEEPER]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().unwrap();
        let keeps = keeper.stdin.take().unwrap();
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
        Self { keeper, _keeps: keeps, far: said.trim().parse().unwrap() }
    }

    /// This command, in the near network.
    pub(crate) fn near(&self, command: &Command) -> Command {
        in_network_of(self.keeper.id(), command)
    }

    /// This command, in the far network, where [`FAR`] is.
    pub(crate) fn far(&self, command: &Command) -> Command {
        in_network_of(self.far, command)
    }

    /// Cuts the link, or mends it.
    pub(crate) fn set(&self, up: bool) {
        let mut command = tool("ip", "iproute2");
        command.args(["link", "set", "near", if up { "up" } else { "down" }]);
        assert!(self.near(&command).status().unwrap().success());
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // What is left in them keeps them a little longer.
        let _ = Command::new("kill").arg(self.far.to_string()).status();
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

fn in_network_of(process: u32, command: &Command) -> Command {
    let mut entered = tool("nsenter", "util-linux");
    entered.args(["-n", "-t", &process.to_string()]);
    if !is_root() {
        entered.args(["-U", "--preserve-credentials"]);
    }
    entered.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => entered.env(name, value),
            None => entered.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        entered.current_dir(directory);
    }
    entered
}
