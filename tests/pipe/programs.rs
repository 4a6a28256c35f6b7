//! The programs for which a pipe is made: a real sshd behind it, and git and rsync over that.

use std::fs;

use crate::postbox::Postbox;
use crate::support::{Pair, tool};
use crate::{bash, met_at};

/// Keys and settings for an sshd that serves one connection on its stdin and stdout, and an `ssh` that
/// comes by `otr pipe`.
fn with_sshd(pair: &Pair) {
    for (program, package) in [
        ("ssh", "openssh-client"),
        ("ssh-keygen", "openssh-client"),
        ("git", "git"),
        ("rsync", "rsync"),
    ] {
        drop(tool(program, package));
    }
    assert!(
        ["/usr/sbin/sshd", "/usr/bin/sshd"].iter().any(|path| fs::exists(path).unwrap()),
        "this test needs sshd: apt-get install openssh-server"
    );
    pair.sh(r"mkdir -p /run/sshd 2>/dev/null
        ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f user
        cp user.pub authorized; chmod 600 authorized
        cat > sshd_config <<X
HostKey $PLACE/host
AuthorizedKeysFile $PLACE/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
PidFile none
X
        cat > ssh_config <<X
Host bob
  User $(id -un)
  IdentityFile $PLACE/user
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile $PLACE/known
  LogLevel ERROR
  ProxyCommand env OTR_DIR=$PLACE/alice otr pipe
X")
        .ok();
}

#[test]
fn ssh_git_and_rsync_go_through_it() {
    let postbox = Postbox::start(&[]);
    let pair = met_at(&postbox);
    with_sshd(&pair);
    let run = bash(
        &pair,
        r#"export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null HOME=$PLACE
        sshd=$(command -v sshd || echo /usr/sbin/sshd)
        $BOB pipe --keep-open --exec "exec $sshd -i -f $PLACE/sshd_config 2>> $PLACE/sshd.log" & there=$!
        ssh="ssh -F $PLACE/ssh_config"
        said=$($ssh bob 'echo there; cat; exit 5' <<< here); code=$?
        [ "$code $said" = $'5 there\nhere' ] || { echo "ssh: $code $said"; cat sshd.log; exit 1; }
        head -c 8000000 /dev/urandom > file
        $ssh bob "cat > $PLACE/copied" < file && cmp file copied || exit 2
        # A repository of some thousand objects.
        git init -q -b main repo && cd repo && git config user.email a@example && git config user.name a
        for i in $(seq 1 300); do echo $i > file$i; done; head -c 3000000 /dev/urandom > big
        git add . && git commit -qm all && cd ..
        GIT_SSH_COMMAND="$ssh" git clone -q bob:$PLACE/repo cloned || exit 3
        diff -r --exclude .git repo cloned || exit 4
        rsync -a -e "$ssh" repo/ bob:$PLACE/synced/ && diff -r repo synced || exit 5
        rsync -a -e "$ssh" bob:$PLACE/repo/ $PLACE/back/ && diff -r repo back || exit 6
        kill $there; wait $there; [ $? = 143 ]"#,
    );
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{}", String::from_utf8_lossy(&run.out));
}

/// The way without a server, as the manual shows it: ssh carries the packets.
#[test]
fn ssh_carries_a_pipe() {
    let pair = Pair::strangers();
    with_sshd(&pair);
    let run = bash(
        &pair,
        r#"sshd=$(command -v sshd || echo /usr/sbin/sshd)
        sed -i "s#ProxyCommand.*#ProxyCommand $sshd -i -f $PLACE/sshd_config#" ssh_config
        export HOME=$PLACE
        seq 1 50000 | $ALICE pipe --via "ssh -F ssh_config bob \
            PATH=$PATH OTR_DIR=$PLACE/bob otr pipe --stdio --exec tac" 2> said | head -1; cat said >&2"#,
    );
    assert_eq!(run.out, b"50000\n", "{}", run.err);
}
