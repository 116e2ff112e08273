/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import io.github.flinkdiffusion.ops.credentials.Manifest.Reference;
import io.github.flinkdiffusion.ops.credentials.Verdict.Kind;
import io.github.flinkdiffusion.ops.credentials.Verdict.State;
import io.github.flinkdiffusion.ops.credentials.Verdict.Status;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.cert.X509Certificate;
import java.time.Clock;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.flink.annotation.Internal;

/**
 * Says what the content credentials of a file are worth, by the rules of C2PA 2.2 and with its
 * codes. {@code check_credentials.py} compares the verdicts with those of c2pa-python.
 *
 * <p>Not looked at are time stamps (a certificate must be valid now), whether a certificate was
 * withdrawn, and bindings to a file other than {@code c2pa.hash.data}. Manifests that only update
 * others, and compressed ones, are refused.
 */
@Internal
public final class CredentialsVerifier {
  private static final int MOST_DEPTH = 32;

  /** Does not make a file invalid: it is signed by somebody, whoever that is. */
  private static final String UNTRUSTED = "signingCredential.untrusted";

  private static final String VALIDATED = "claimSignature.validated";
  private static final String IN_TIME = "claimSignature.insideValidity";
  private static final String TRUSTED = "signingCredential.trusted";

  private final TrustedSigners trusted;

  /** Trusts nobody. */
  public CredentialsVerifier() {
    this(List.of());
  }

  /**
   * @param anchors certificates of authorities that are trusted
   */
  public CredentialsVerifier(List<X509Certificate> anchors) {
    this(anchors, Clock.systemUTC());
  }

  CredentialsVerifier(List<X509Certificate> anchors, Clock clock) {
    trusted = new TrustedSigners(anchors, clock);
  }

  /**
   * @throws CredentialsException if it is no file that can hold credentials, or they are damaged
   *     beyond reading
   */
  public Verdict verify(byte[] file) {
    try (AssetBytes bytes = AssetBytes.of(file)) {
      return verify(bytes);
    } catch (IOException e) {
      throw new CredentialsException("Content credentials cannot be read: " + e, e);
    }
  }

  /** As {@link #verify(byte[])}. */
  public Verdict verify(Path file) {
    try (AssetBytes bytes = AssetBytes.of(file)) {
      return verify(bytes);
    } catch (IOException e) {
      throw new CredentialsException(
          "The content credentials of %s cannot be read: %s".formatted(file, e), e);
    }
  }

  Verdict verify(AssetBytes file) throws IOException {
    AssetFormat format =
        AssetFormat.of(file)
            .orElseThrow(
                () ->
                    new CredentialsException(
                        "Only PNG, JPEG, TIFF and WebP files are looked at for content"
                            + " credentials"));
    Optional<AssetFormat.Found> found = format.find(file);
    if (found.isEmpty()) {
      return Verdict.none();
    }
    SuperBox store = SuperBox.read(found.get().store());
    if (!store.label().equals(Labels.STORE) || store.boxes().isEmpty()) {
      throw new CredentialsException("The manifest store has no manifest");
    }
    Map<String, Manifest> manifests = new LinkedHashMap<>();
    for (SuperBox box : store.boxes()) {
      if (manifests.put(box.label(), Manifest.of(box)) != null) {
        throw new CredentialsException("Two manifests are named '" + box.label() + "'");
      }
    }
    Manifest active = manifests.get(store.boxes().get(store.boxes().size() - 1).label());
    return new Check(manifests, active).run(file);
  }

  /** Of one file. */
  private final class Check {
    private final Map<String, Manifest> manifests;
    private final Manifest active;
    private final Statuses statuses = new Statuses();
    private final Set<String> visited = new HashSet<>();

    Check(Map<String, Manifest> manifests, Manifest active) {
      this.manifests = manifests;
      this.active = active;
    }

    Verdict run(AssetBytes file) {
      CoseSignature signature = manifest(active);
      visited.add(active.label());
      ingredients(active, 0);
      new DataBinding(active, statuses).check(file);
      List<Status> found = withoutWhatIngredientsSay();
      return new Verdict(
          state(found),
          Optional.of(active.label()),
          Optional.of(signature.certificates().get(0).getSubjectX500Principal().getName()),
          generator(),
          sourceTypes(),
          named(),
          active
              .assertion(ContentCredentials.AUDIT)
              .flatMap(box -> box.content(Labels.JSON))
              .map(json -> new String(json, StandardCharsets.UTF_8)),
          found);
    }

    // -------------------------------------------------------------- a manifest

    private CoseSignature manifest(Manifest manifest) {
      String uri = Labels.uri(manifest.label(), Labels.SIGNATURE);
      String named = Cbor.get(manifest.claim(), "signature", String.class).orElse("");
      if (!Labels.inner(named).equals(Optional.of(Labels.SIGNATURE))
          || Labels.manifest(named).filter(label -> !label.equals(manifest.label())).isPresent()) {
        statuses.failure("claimSignature.missing", uri, "the claim names no signature of its own");
      }
      CoseSignature signature = CoseSignature.read(manifest.signature());
      X509Certificate signer = signature.certificates().get(0);
      Optional<String> objection = CertificateProfile.objection(signer);
      if (!trusted.isInTime(signer)) {
        statuses.failure("signingCredential.expired", uri, "certificate is not valid now");
      } else if (objection.isPresent()) {
        statuses.failure("signingCredential.invalid", uri, "certificate: " + objection.get());
      }
      if (trusted.isTrusted(signature.certificates())) {
        statuses.success(TRUSTED, uri, "signing certificate trusted");
      } else {
        statuses.failure(UNTRUSTED, uri, "signing certificate untrusted");
      }
      if (signature.verifies(manifest.claimBytes())) {
        statuses.success(IN_TIME, uri, "claim signature valid");
        statuses.success(VALIDATED, uri, "claim signature valid");
      } else {
        statuses.failure("claimSignature.mismatch", uri, "claim signature is not valid");
      }
      assertions(manifest);
      long parents =
          manifest.assertionsOf(Labels.INGREDIENT).stream()
              .filter(box -> "parentOf".equals(Manifest.map(box).get("relationship")))
              .count();
      if (parents > 1) {
        statuses.failure(
            "manifest.multipleParents", Labels.uri(manifest.label()), parents + " parents");
      }
      if (!manifest.isFirstVersion()) {
        actions(manifest);
      }
      return signature;
    }

    private void assertions(Manifest manifest) {
      Set<String> undeclared =
          manifest.assertions().stream().map(SuperBox::label).collect(Collectors.toSet());
      for (Reference reference : manifest.references()) {
        Optional<String> name = Labels.assertion(reference.url());
        if (Labels.manifest(reference.url()).filter(at -> !at.equals(manifest.label())).isPresent()
            || name.isEmpty()) {
          statuses.failure(
              "assertion.outsideManifest", reference.url(), "an assertion of another manifest");
          continue;
        }
        undeclared.remove(name.get());
        String uri = Labels.assertionUri(manifest.label(), name.get());
        Optional<SuperBox> box = manifest.assertion(name.get());
        if (box.isEmpty()) {
          statuses.failure("assertion.missing", uri, "the assertion is missing");
        } else if (matches(reference, manifest, box.get().payload())) {
          statuses.success("assertion.hashedURI.match", uri, "hashed uri matched");
        } else {
          statuses.failure(
              "assertion.hashedURI.mismatch", uri, "hash does not match assertion data");
        }
      }
      for (String name : undeclared) {
        statuses.failure(
            "assertion.undeclared",
            Labels.assertionUri(manifest.label(), name),
            "the claim does not name the assertion");
      }
    }

    private boolean matches(Reference reference, Manifest manifest, byte[] payload) {
      return DataBinding.digest(reference.algorithm().orElse(manifest.algorithm()))
          .map(digest -> MessageDigest.isEqual(digest.digest(payload), reference.hash()))
          .orElse(false);
    }

    // -------------------------------------------------------------- actions

    private void actions(Manifest manifest) {
      List<SuperBox> boxes = manifest.assertionsOf(Labels.ACTIONS);
      boolean begins = false;
      for (SuperBox box : boxes) {
        String uri = Labels.assertionUri(manifest.label(), box.label());
        List<Map<?, ?>> actions = Cbor.maps(Manifest.map(box), "actions");
        if (actions.isEmpty()) {
          statuses.failure("assertion.action.malformed", uri, "no actions");
        }
        for (int i = 0; i < actions.size(); i++) {
          Map<?, ?> action = actions.get(i);
          String name = Cbor.get(action, "action", String.class).orElse("");
          boolean first = name.equals("c2pa.created") || name.equals("c2pa.opened");
          if (name.isEmpty()) {
            statuses.failure("assertion.action.malformed", uri, "an action without name");
          }
          if (first && (i > 0 || begins)) {
            statuses.failure("assertion.action.malformed", uri, name + " must be the first action");
          }
          begins |= first && i == 0;
          if (name.equals("c2pa.created")
              && Cbor.get(action, "digitalSourceType", String.class).isEmpty()) {
            statuses.failure(
                "assertion.action.malformed", uri, "c2pa.created has no digitalSourceType");
          }
          needsIngredient(manifest, name, action, uri);
        }
      }
      if (!begins) {
        statuses.failure(
            "assertion.action.malformed",
            Labels.uri(manifest.label()),
            "the first action must be c2pa.created or c2pa.opened");
      }
    }

    private void needsIngredient(Manifest manifest, String name, Map<?, ?> action, String uri) {
      String relationship =
          switch (name) {
            case "c2pa.opened" -> "parentOf";
            case "c2pa.placed", "c2pa.removed" -> "componentOf";
            default -> "";
          };
      if (relationship.isEmpty()) {
        return;
      }
      Map<?, ?> parameters = Cbor.get(action, "parameters", Map.class).orElse(Map.of());
      List<Map<?, ?>> named = new ArrayList<>(Cbor.maps(parameters, "ingredients"));
      Cbor.get(parameters, "ingredient", Map.class).ifPresent(named::add);
      long fitting =
          named.stream()
              .flatMap(each -> Reference.of(each).stream())
              .flatMap(reference -> Labels.assertion(reference.url()).stream())
              .filter(label -> Labels.is(label, Labels.INGREDIENT))
              .flatMap(label -> manifest.assertion(label).stream())
              .filter(box -> relationship.equals(Manifest.map(box).get("relationship")))
              .count();
      if (fitting == 0 || name.equals("c2pa.opened") && fitting != 1) {
        statuses.failure(
            "assertion.action.ingredientMismatch",
            uri,
            "%s needs an ingredient that is %s".formatted(name, relationship));
      }
    }

    // -------------------------------------------------------------- ingredients

    private void ingredients(Manifest manifest, int depth) {
      if (depth == MOST_DEPTH) {
        throw new CredentialsException("Ingredients are nested more than " + MOST_DEPTH + " deep");
      }
      for (SuperBox box : manifest.assertionsOf(Labels.INGREDIENT)) {
        String uri = Labels.assertionUri(manifest.label(), box.label());
        Optional<String> before = statuses.about(Optional.of(uri));
        ingredient(manifest, box, uri, depth);
        statuses.about(before);
      }
    }

    private void ingredient(Manifest manifest, SuperBox box, String uri, int depth) {
      Map<?, ?> ingredient = Manifest.map(box);
      Optional<Reference> reference = reference(ingredient);
      if (reference.isEmpty()) {
        if (!"inputTo".equals(ingredient.get("relationship"))) {
          statuses.informational("ingredient.unknownProvenance", uri, "no credentials");
        }
        return;
      }
      if (ingredient.containsKey("activeManifest")
          && !ingredient.containsKey("validationResults")) {
        statuses.failure("assertion.ingredient.malformed", uri, "no validation results");
      }
      String at = reference.get().url();
      Manifest prior = Labels.manifest(at).map(manifests::get).orElse(null);
      if (prior == null) {
        statuses.failure("ingredient.manifest.missing", at, "the ingredient's manifest is missing");
        return;
      }
      if (matches(reference.get(), prior, prior.box().payload())) {
        statuses.success("ingredient.manifest.validated", at, "ingredient hash matched");
      } else {
        statuses.failure("ingredient.manifest.mismatch", at, "ingredient hash incorrect");
      }
      manifest(prior);
      if (visited.add(prior.label())) {
        ingredients(prior, depth + 1);
      }
    }

    private static Optional<Reference> reference(Map<?, ?> ingredient) {
      return Reference.of(ingredient.get("activeManifest"))
          .or(() -> Reference.of(ingredient.get("c2pa_manifest")));
    }

    /**
     * What was known of an ingredient when it was used is said in its assertion: that an input had
     * been changed does not make a result invalid that says so.
     */
    private List<Status> withoutWhatIngredientsSay() {
      Set<List<String>> known = new HashSet<>();
      for (Manifest manifest : manifests.values()) {
        for (SuperBox box : manifest.assertionsOf(Labels.INGREDIENT)) {
          Map<?, ?> ingredient = Manifest.map(box);
          Map<?, ?> results = Cbor.get(ingredient, "validationResults", Map.class).orElse(Map.of());
          Cbor.get(results, "activeManifest", Map.class).ifPresent(codes -> add(codes, known));
          for (Map<?, ?> delta : Cbor.maps(results, "ingredientDeltas")) {
            Cbor.get(delta, "validationDeltas", Map.class).ifPresent(codes -> add(codes, known));
          }
          for (Map<?, ?> old : Cbor.maps(ingredient, "validationStatus")) {
            known.add(key(old));
          }
        }
      }
      return statuses.all().stream()
          .filter(
              status ->
                  Labels.manifest(status.uri()).equals(Optional.of(active.label()))
                      || !known.contains(List.of(status.code(), status.uri())))
          .toList();
    }

    private static void add(Map<?, ?> codes, Set<List<String>> known) {
      for (Kind kind : Kind.values()) {
        for (Map<?, ?> code : Cbor.maps(codes, kind.name().toLowerCase(Locale.ROOT))) {
          known.add(key(code));
        }
      }
    }

    private static List<String> key(Map<?, ?> status) {
      return List.of(
          Cbor.get(status, "code", String.class).orElse(""),
          Cbor.get(status, "url", String.class).orElse(""));
    }

    // -------------------------------------------------------------- what it says

    private Optional<String> generator() {
      Map<?, ?> software =
          Cbor.get(active.claim(), "claim_generator_info", Map.class).orElse(Map.of());
      return Cbor.get(software, "name", String.class)
          .map(
              name ->
                  Cbor.get(software, "version", String.class)
                      .map(version -> name + " " + version)
                      .orElse(name));
    }

    private List<String> sourceTypes() {
      return active.assertionsOf(Labels.ACTIONS).stream()
          .flatMap(box -> Cbor.maps(Manifest.map(box), "actions").stream())
          .flatMap(action -> Cbor.get(action, "digitalSourceType", String.class).stream())
          .map(type -> type.substring(type.lastIndexOf('/') + 1))
          .distinct()
          .toList();
    }

    private List<Verdict.Ingredient> named() {
      return active.assertionsOf(Labels.INGREDIENT).stream()
          .map(Manifest::map)
          .map(
              map ->
                  new Verdict.Ingredient(
                      Cbor.get(map, "dc:title", String.class).orElse(""),
                      Objects.toString(map.get("relationship"), ""),
                      reference(map).flatMap(reference -> Labels.manifest(reference.url()))))
          .toList();
    }
  }

  private static State state(List<Status> found) {
    List<String> own =
        found.stream()
            .filter(status -> status.about().isEmpty() && status.kind() == Kind.SUCCESS)
            .map(Status::code)
            .toList();
    boolean valid =
        own.containsAll(List.of(VALIDATED, IN_TIME))
            && found.stream()
                .filter(status -> status.kind() == Kind.FAILURE)
                .allMatch(status -> status.code().equals(UNTRUSTED));
    return valid ? own.contains(TRUSTED) ? State.TRUSTED : State.VALID : State.INVALID;
  }
}
