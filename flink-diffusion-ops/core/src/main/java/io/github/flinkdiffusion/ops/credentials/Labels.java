/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Names of C2PA's boxes and keys, and references from one box to another. */
final class Labels {
  static final String STORE_KIND = "c2pa";
  static final String STORE = "c2pa";
  static final String MANIFEST_KIND = "c2ma";
  static final String ASSERTIONS_KIND = "c2as";
  static final String ASSERTIONS = "c2pa.assertions";
  static final String CLAIM_KIND = "c2cl";
  static final String CLAIM = "c2pa.claim.v2";
  static final String CLAIM_1 = "c2pa.claim";
  static final String SIGNATURE_KIND = "c2cs";
  static final String SIGNATURE = "c2pa.signature";
  static final String CBOR = "cbor";
  static final String JSON = "json";

  static final String ACTIONS = "c2pa.actions";
  static final String ACTIONS_2 = "c2pa.actions.v2";
  static final String DATA_HASH = "c2pa.hash.data";
  static final String INGREDIENT = "c2pa.ingredient";
  static final String INGREDIENT_3 = "c2pa.ingredient.v3";

  private static final String SELF = "self#jumbf=";

  /** A part of a manifest, by the manifest's label, or of the same manifest. */
  private static final Pattern REFERENCE =
      Pattern.compile("self#jumbf=(?:/c2pa/(?<manifest>[^/]+)(?:/(?<inner>.+))?|(?<own>[^/].*))");

  private Labels() {}

  /** Of the n-th assertion of a kind, from 0. */
  static String numbered(String label, int n) {
    return n == 0 ? label : label + "__" + n;
  }

  /** Whether this is one of the assertions of a kind, of whatever version and number. */
  static boolean is(String label, String kind) {
    return label.replaceFirst("__\\d+$", "").replaceFirst("\\.v\\d+$", "").equals(kind);
  }

  static String uri(String manifest) {
    return SELF + "/" + STORE + "/" + manifest;
  }

  static String uri(String manifest, String inner) {
    return uri(manifest) + "/" + inner;
  }

  static String assertionUri(String manifest, String label) {
    return uri(manifest, ASSERTIONS + "/" + label);
  }

  /** As claims name the assertions of their own manifest. */
  static String relative(String label) {
    return SELF + ASSERTIONS + "/" + label;
  }

  /** The manifest that a reference names, if it names one. */
  static Optional<String> manifest(String uri) {
    Matcher matcher = REFERENCE.matcher(uri);
    return matcher.matches() ? Optional.ofNullable(matcher.group("manifest")) : Optional.empty();
  }

  /** The path in a manifest that a reference names, if it names one. */
  static Optional<String> inner(String uri) {
    Matcher matcher = REFERENCE.matcher(uri);
    if (!matcher.matches()) {
      return Optional.empty();
    }
    return Optional.ofNullable(
        matcher.group("own") != null ? matcher.group("own") : matcher.group("inner"));
  }

  /** The label of the assertion that a reference names, if it names one. */
  static Optional<String> assertion(String uri) {
    return inner(uri)
        .filter(path -> path.startsWith(ASSERTIONS + "/"))
        .map(path -> path.substring(ASSERTIONS.length() + 1));
  }
}
