# `nix-build packaging/nix`: otr with the nixpkgs of this machine.
{ pkgs ? import <nixpkgs> { } }:

pkgs.callPackage ./package.nix { }
