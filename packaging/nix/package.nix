# otr for Nix: `nix-build packaging/nix`, or `pkgs.callPackage ./packaging/nix/package.nix { }`. It needs
# a nixpkgs whose rustc is 1.94 or newer.
# Its syntax was checked (`nix-instantiate --parse`); it has not been built with nixpkgs.
{ lib, stdenv, rustPlatform }:

let
  top = ../..;
  manifest = lib.importTOML (top + "/Cargo.toml");
in
rustPlatform.buildRustPackage {
  pname = manifest.package.name;
  version = manifest.package.version;

  src = lib.cleanSourceWith {
    src = lib.cleanSource top;
    filter = path: type: !(type == "directory" && baseNameOf path == "target");
  };
  cargoLock.lockFile = top + "/Cargo.lock";
  cargoBuildFlags = [ "--bin" "otr" ];

  # .cargo/config.toml asks for a static program.
  buildInputs = [ stdenv.cc.libc.static ];

  # The tests want a machine with ssh, Tor, nginx and more: tests/run. This is a whole conversation.
  checkPhase = ''
    runHook preCheck
    "target/${stdenv.hostPlatform.rust.rustcTarget}/release/otr" demo > /dev/null
    runHook postCheck
  '';

  installPhase = ''
    runHook preInstall
    bash packaging/install "$out" "target/${stdenv.hostPlatform.rust.rustcTarget}/release/otr"
    runHook postInstall
  '';

  meta = {
    description = manifest.package.description;
    license = lib.licenses.asl20;
    platforms = [ "x86_64-linux" "aarch64-linux" ];
    mainProgram = "otr";
  };
}
