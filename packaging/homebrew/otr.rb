# otr for a Homebrew tap, on Linux: the static program of a release. packaging/release fills in the
# version, the address (--url) and the checksums, and puts it beside the release.
# Its Ruby was checked (`ruby -c`); it has not been tried with brew.
class Otr < Formula
  desc "Off-the-record conversations for the Unix pipe"
  homepage "@URL@"
  version "@VERSION@"
  license "Apache-2.0"

  depends_on :linux

  on_intel do
    url "@URL@/otr-@VERSION@-linux-x86_64.tar.gz"
    sha256 "@SHA256_X86_64@"
  end

  on_arm do
    url "@URL@/otr-@VERSION@-linux-aarch64.tar.gz"
    sha256 "@SHA256_AARCH64@"
  end

  def install
    bin.install "bin/otr"
    man1.install Dir["share/man/man1/*.1"]
    bash_completion.install "share/bash-completion/completions/otr"
    zsh_completion.install "share/zsh/site-functions/_otr"
    fish_completion.install "share/fish/vendor_completions.d/otr.fish"
    doc.install Dir["share/doc/otr/*"]
  end

  test do
    ENV["OTR_DIR"] = testpath/"alice"
    (testpath/"invite").write shell_output("#{bin}/otr init")
    assert_match "otr1i:", (testpath/"invite").read
    assert_match version.to_s, shell_output("#{bin}/otr --version")
  end
end
