/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A manifest that is read: a claim, what it claims, and its signature.
 *
 * @param label unique in the world
 * @param box all of it
 * @param claimBytes as they are signed
 * @param claim the same
 * @param assertions in its store
 * @param references of the claim to them
 * @param signature of the claim, as it is stored
 */
record Manifest(
    String label,
    SuperBox box,
    byte[] claimBytes,
    Map<?, ?> claim,
    List<SuperBox> assertions,
    List<Reference> references,
    byte[] signature) {

  /** A hashed reference to a box. */
  record Reference(String url, Optional<String> algorithm, byte[] hash) {
    static Optional<Reference> of(Object value) {
      if (value instanceof Map<?, ?> map) {
        Optional<String> url = Cbor.get(map, "url", String.class);
        Optional<byte[]> hash = Cbor.get(map, "hash", byte[].class);
        if (url.isPresent() && hash.isPresent()) {
          return Optional.of(
              new Reference(url.get(), Cbor.get(map, "alg", String.class), hash.get()));
        }
      }
      return Optional.empty();
    }
  }

  private static final int MOST_ASSERTIONS = 1000;

  /**
   * @throws CredentialsException if it is damaged
   */
  static Manifest of(SuperBox box) {
    if (!box.kind().equals(Labels.MANIFEST_KIND)) {
      throw new CredentialsException(
          "The manifest '%s' is of the kind '%s'; only standard manifests (c2ma) are read"
              .formatted(box.label(), box.kind()));
    }
    List<SuperBox> claims =
        box.boxes().stream()
            .filter(
                each -> each.label().equals(Labels.CLAIM) || each.label().equals(Labels.CLAIM_1))
            .toList();
    if (claims.size() != 1) {
      throw new CredentialsException(
          "The manifest '%s' has %d claims; expected 1".formatted(box.label(), claims.size()));
    }
    byte[] claimBytes = content(claims.get(0), "claim");
    Map<?, ?> claim = Cbor.decodeMap(claimBytes);
    String needed =
        claims.get(0).label().equals(Labels.CLAIM) ? "created_assertions" : "assertions";
    if (!claim.containsKey(needed)) {
      throw new CredentialsException("A claim has no " + needed);
    }
    SuperBox assertions =
        box.box(Labels.ASSERTIONS)
            .orElseThrow(
                () ->
                    new CredentialsException(
                        "The manifest '%s' has no assertions".formatted(box.label())));
    SuperBox signature =
        box.boxes().stream()
            .filter(each -> each.kind().equals(Labels.SIGNATURE_KIND))
            .findFirst()
            .orElseThrow(
                () ->
                    new CredentialsException(
                        "The manifest '%s' has no signature".formatted(box.label())));
    List<Reference> references = new ArrayList<>();
    for (String key : List.of("created_assertions", "gathered_assertions", "assertions")) {
      for (Map<?, ?> each : Cbor.maps(claim, key)) {
        references.add(
            Reference.of(each)
                .orElseThrow(
                    () -> new CredentialsException("A claim refers to an assertion without hash")));
      }
    }
    if (references.size() > MOST_ASSERTIONS || assertions.boxes().size() > MOST_ASSERTIONS) {
      throw new CredentialsException(
          "A manifest with more than %d assertions".formatted(MOST_ASSERTIONS));
    }
    return new Manifest(
        box.label(),
        box,
        claimBytes,
        claim,
        assertions.boxes(),
        references,
        content(signature, "signature"));
  }

  private static byte[] content(SuperBox box, String what) {
    return box.content(Labels.CBOR)
        .orElseThrow(() -> new CredentialsException("A manifest's " + what + " is not CBOR"));
  }

  boolean isFirstVersion() {
    return box.box(Labels.CLAIM_1).isPresent();
  }

  /** What hashes in it are made by, unless they say it themselves. */
  String algorithm() {
    return Cbor.get(claim, "alg", String.class).orElse("sha256");
  }

  Optional<SuperBox> assertion(String name) {
    return assertions.stream().filter(box -> box.label().equals(name)).findFirst();
  }

  /** Assertions of a kind, of whatever version, in the claim's order. */
  List<SuperBox> assertionsOf(String kind) {
    return references.stream()
        .flatMap(reference -> Labels.assertion(reference.url()).stream())
        .filter(name -> Labels.is(name, kind))
        .flatMap(name -> assertion(name).stream())
        .toList();
  }

  /** An assertion's content, which must be CBOR. */
  static Map<?, ?> map(SuperBox assertion) {
    return Cbor.decodeMap(content(assertion, "assertion " + assertion.label()));
  }
}
