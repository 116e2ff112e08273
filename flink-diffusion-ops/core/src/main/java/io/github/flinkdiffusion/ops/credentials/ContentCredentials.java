/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import io.github.flinkdiffusion.ops.credentials.AssetBytes.Range;
import io.github.flinkdiffusion.ops.credentials.AssetFormat.Edit;
import io.github.flinkdiffusion.ops.credentials.AssetFormat.Embedding;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.cert.CertificateEncodingException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.function.UnaryOperator;
import org.apache.flink.annotation.Internal;

/**
 * Writes content credentials (C2PA 2.2) into image files: a signed claim that names the software,
 * the kind of source, the inputs with their own credentials, and the file's digest.
 *
 * <p>Nothing in it is a time or drawn at random: ids are digests. The same file with the same
 * origin, signed by a deterministic {@link Signer}, has the same bytes again.
 */
@Internal
public final class ContentCredentials {
  /** Of the assertion that is the audit record, as JSON. */
  public static final String AUDIT = "io.github.flinkdiffusion.audit";

  static final String SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/";
  private static final String GENERATED = SOURCE_TYPES + "trainedAlgorithmicMedia";
  private static final String CHANGED = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia";
  private static final String ALGORITHM = "sha256";

  /** Enough for two numbers of any length, and short enough to have a head of one byte. */
  private static final int PADDED_NUMBERS = 18;

  private final Origin origin;
  private final Signer signer;

  private ContentCredentials(Origin origin, Signer signer) {
    this.origin = origin;
    this.signer = signer;
  }

  /** Whether a file of this type can hold credentials. */
  public static boolean canBeIn(String mediaType) {
    return List.of("image/png", "image/jpeg", "image/tiff", "image/webp").contains(mediaType);
  }

  /**
   * The file with credentials.
   *
   * @param file PNG, JPEG, TIFF or WebP, without any
   * @throws CredentialsException if it cannot hold them, or they cannot be signed
   */
  public static byte[] sign(byte[] file, Origin origin, Signer signer) {
    try (AssetBytes bytes = AssetBytes.of(file)) {
      Embedding embedding = new ContentCredentials(origin, signer).embedding(bytes);
      ByteArrayOutputStream signed =
          new ByteArrayOutputStream(file.length + (int) embedding.where().length() + 64);
      int at = 0;
      for (Edit edit : embedding.edits()) {
        signed.write(file, at, (int) edit.at() - at);
        signed.writeBytes(edit.bytes());
        at = (int) edit.at() + edit.removed();
      }
      signed.write(file, at, file.length - at);
      return signed.toByteArray();
    } catch (IOException e) {
      throw new CredentialsException("Content credentials cannot be written: " + e, e);
    }
  }

  /**
   * Writes credentials into a TIFF file, in place.
   *
   * @throws CredentialsException as {@link #sign(byte[], Origin, Signer)}
   */
  public static void sign(Path file, Origin origin, Signer signer) {
    try {
      Embedding embedding;
      try (AssetBytes bytes = AssetBytes.of(file)) {
        embedding = new ContentCredentials(origin, signer).embedding(bytes);
        for (Edit edit : embedding.edits()) {
          if (edit.removed() != edit.bytes().length && edit.at() != bytes.size()) {
            throw new CredentialsException(
                "Only TIFF files get content credentials in place, not " + file);
          }
        }
      }
      // What is added first, and what refers to it last.
      List<Edit> edits = new ArrayList<>(embedding.edits());
      Collections.reverse(edits);
      try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
        for (Edit edit : edits) {
          ByteBuffer buffer = ByteBuffer.wrap(edit.bytes());
          for (long at = edit.at(); buffer.hasRemaining(); ) {
            at += channel.write(buffer, at);
          }
        }
      }
    } catch (IOException e) {
      throw new CredentialsException(
          "Content credentials cannot be written into %s: %s".formatted(file, e), e);
    }
  }

  // ---------------------------------------------------------------- the file

  /** Twice the same lengths: first to learn what is to be digested, then with the digest. */
  private Embedding embedding(AssetBytes file) throws IOException {
    AssetFormat format =
        AssetFormat.of(file)
            .orElseThrow(
                () ->
                    new CredentialsException(
                        "Only PNG, JPEG, TIFF and WebP files can hold content credentials"));
    if (format.find(file).isPresent()) {
      throw new CredentialsException("The file has content credentials already");
    }
    byte[] first =
        store(new Range(0, 0), new byte[32], 0, claim -> CoseSignature.placeholder(signer));
    // An even length needs no padding in any kind of file.
    int even = first.length & 1;
    Embedding placed = format.embed(file, Arrays.copyOf(first, first.length + even));
    MessageDigest digest = sha256();
    digestWithout(file, placed, digest);
    byte[] store =
        store(placed.where(), digest.digest(), even, claim -> CoseSignature.sign(claim, signer));
    if (store.length != first.length + even) {
      throw new CredentialsException(
          "The signer's signatures are not of the length it says: a store of %d bytes became %d"
              .formatted(first.length + even, store.length));
    }
    return format.embed(file, store);
  }

  /** Digests the edited file but for the store. */
  private static void digestWithout(AssetBytes file, Embedding placed, MessageDigest digest)
      throws IOException {
    long at = 0;
    long written = 0;
    List<Edit> edits = new ArrayList<>(placed.edits());
    edits.add(new Edit(file.size(), 0, new byte[0]));
    for (Edit edit : edits) {
      // What lies between two edits is the file's own, and never part of the store.
      file.digestWithout(List.of(new Range(0, at), new Range(edit.at(), file.size())), digest);
      written += edit.at() - at;
      byte[] bytes = edit.bytes();
      int from = (int) Math.max(0, Math.min(bytes.length, placed.where().start() - written));
      int to = (int) Math.max(from, Math.min(bytes.length, placed.where().end() - written));
      digest.update(bytes, 0, from);
      digest.update(bytes, to, bytes.length - to);
      written += bytes.length;
      at = edit.at() + edit.removed();
    }
  }

  // ---------------------------------------------------------------- the store

  private byte[] store(Range where, byte[] digest, int padding, UnaryOperator<byte[]> signature) {
    Map<String, SuperBox> kept = new LinkedHashMap<>();
    List<byte[]> assertions = new ArrayList<>();
    List<Object> references = new ArrayList<>();
    List<Object> parents = new ArrayList<>();
    List<Object> looked = new ArrayList<>();
    int number = 0;
    for (Origin.Input input : origin.inputs()) {
      String label = Labels.numbered(Labels.INGREDIENT_3, number++);
      Object reference =
          add(label, Labels.CBOR, Cbor.encode(ingredient(input, kept)), assertions, references);
      (input.parent() ? parents : looked).add(reference);
    }
    add(
        Labels.ACTIONS_2,
        Labels.CBOR,
        Cbor.encode(actions(parents, looked)),
        assertions,
        references);
    add(
        AUDIT,
        Labels.JSON,
        origin.audit().getBytes(StandardCharsets.UTF_8),
        assertions,
        references);
    add(Labels.DATA_HASH, Labels.CBOR, dataHash(where, digest, padding), assertions, references);
    String label = "urn:c2pa:" + uuid("manifest", assertions);
    byte[] claim = claim(label, references, assertions);
    byte[] manifest =
        SuperBox.write(
            Labels.MANIFEST_KIND,
            label,
            List.of(
                SuperBox.write(Labels.ASSERTIONS_KIND, Labels.ASSERTIONS, assertions),
                SuperBox.write(
                    Labels.CLAIM_KIND, Labels.CLAIM, List.of(SuperBox.content(Labels.CBOR, claim))),
                SuperBox.write(
                    Labels.SIGNATURE_KIND,
                    Labels.SIGNATURE,
                    List.of(SuperBox.content(Labels.CBOR, signature.apply(claim))))));
    List<byte[]> manifests = new ArrayList<>();
    kept.values().forEach(box -> manifests.add(box.bytes()));
    manifests.add(manifest);
    return SuperBox.write(Labels.STORE_KIND, Labels.STORE, manifests);
  }

  private static Object add(
      String label, String type, byte[] content, List<byte[]> assertions, List<Object> references) {
    byte[] box = SuperBox.write(type, label, List.of(SuperBox.content(type, content)));
    Map<String, Object> reference = reference(Labels.relative(label), SuperBox.payload(box));
    assertions.add(box);
    references.add(reference);
    return reference;
  }

  private static Map<String, Object> reference(String uri, byte[] payload) {
    Map<String, Object> reference = new LinkedHashMap<>();
    reference.put("url", uri);
    reference.put("alg", ALGORITHM);
    reference.put("hash", sha256().digest(payload));
    return reference;
  }

  private byte[] claim(String label, List<Object> references, List<byte[]> assertions) {
    Map<String, Object> claim = new LinkedHashMap<>();
    claim.put("instanceID", "xmp:iid:" + uuid("instance", assertions));
    claim.put("claim_generator_info", software());
    claim.put("signature", Labels.uri(label, Labels.SIGNATURE));
    claim.put("created_assertions", references);
    claim.put("alg", ALGORITHM);
    return Cbor.encode(claim);
  }

  private Map<String, Object> software() {
    Map<String, Object> software = new LinkedHashMap<>();
    software.put("name", origin.generator());
    software.put("version", origin.version());
    return software;
  }

  /** A changed image was opened first; any other was created, by looking at its inputs or not. */
  private Map<String, Object> actions(List<Object> parents, List<Object> looked) {
    List<Object> actions = new ArrayList<>();
    Map<String, Object> made = new LinkedHashMap<>();
    if (parents.isEmpty()) {
      made.put("action", "c2pa.created");
      made.put("digitalSourceType", GENERATED);
    } else {
      Map<String, Object> opened = new LinkedHashMap<>();
      opened.put("action", "c2pa.opened");
      opened.put("parameters", Map.of("ingredients", parents));
      actions.add(opened);
      made.put("action", "c2pa.edited");
      made.put("digitalSourceType", CHANGED);
    }
    made.put("softwareAgent", software());
    if (!looked.isEmpty()) {
      made.put("parameters", Map.of("ingredients", looked));
    }
    actions.add(made);
    return Map.of("actions", actions);
  }

  private static byte[] dataHash(Range where, byte[] digest, int padding) {
    Map<String, Object> exclusion = new LinkedHashMap<>();
    exclusion.put("start", where.start());
    exclusion.put("length", where.length());
    Map<String, Object> hash = new LinkedHashMap<>();
    hash.put("exclusions", List.of(exclusion));
    hash.put("name", "jumbf manifest");
    hash.put("alg", ALGORITHM);
    hash.put("hash", digest);
    int numbers = Cbor.encode(where.start()).length + Cbor.encode(where.length()).length;
    hash.put("pad", new byte[PADDED_NUMBERS - numbers + padding]);
    return Cbor.encode(hash);
  }

  private static Map<String, Object> ingredient(Origin.Input input, Map<String, SuperBox> kept) {
    PriorCredentials prior = input.prior();
    Map<String, Object> ingredient = new LinkedHashMap<>();
    ingredient.put("relationship", input.parent() ? "parentOf" : "inputTo");
    ingredient.put("dc:title", input.title());
    ingredient.put("dc:format", prior.mediaType());
    String problem = prior.problem().orElse(null);
    if (prior.active().isPresent() && !canKeep(prior, kept)) {
      problem = "another input has another manifest of the same name";
    } else if (prior.active().isPresent()) {
      prior.manifests().forEach(box -> kept.put(box.label(), box));
      String label = prior.active().get();
      SuperBox manifest = kept.get(label);
      ingredient.put("validationResults", validation(prior.verdict().orElseThrow(), label));
      ingredient.put("activeManifest", reference(Labels.uri(label), manifest.payload()));
      manifest
          .box(Labels.SIGNATURE)
          .ifPresent(
              signature ->
                  ingredient.put(
                      "claimSignature",
                      reference(Labels.uri(label, Labels.SIGNATURE), signature.payload())));
    }
    if (problem != null) {
      ingredient.put("description", "Its content credentials were not kept: " + problem);
    }
    return ingredient;
  }

  private static boolean canKeep(PriorCredentials prior, Map<String, SuperBox> kept) {
    return prior.manifests().stream()
        .allMatch(
            box ->
                !kept.containsKey(box.label())
                    || Arrays.equals(kept.get(box.label()).payload(), box.payload()));
  }

  /** What was found of an input's credentials, as C2PA's validators have it. */
  private static Map<String, Object> validation(Verdict verdict, String active) {
    Map<String, List<Object>> own = codes();
    Map<String, Map<String, List<Object>>> others = new LinkedHashMap<>();
    for (Verdict.Status status : verdict.statuses()) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("code", status.code());
      one.put("url", status.uri());
      one.put("explanation", status.explanation());
      Map<String, List<Object>> where =
          status.about().isEmpty()
              ? own
              : others.computeIfAbsent(status.about().get(), about -> codes());
      where.get(status.kind().name().toLowerCase(Locale.ROOT)).add(one);
    }
    Map<String, Object> results = new LinkedHashMap<>();
    results.put("activeManifest", own);
    if (!others.isEmpty()) {
      List<Object> deltas = new ArrayList<>();
      others.forEach(
          (about, found) -> {
            Map<String, Object> delta = new LinkedHashMap<>();
            delta.put("ingredientAssertionURI", about);
            delta.put("validationDeltas", found);
            deltas.add(delta);
          });
      results.put("ingredientDeltas", deltas);
    }
    return results;
  }

  private static Map<String, List<Object>> codes() {
    Map<String, List<Object>> codes = new LinkedHashMap<>();
    for (Verdict.Kind kind : Verdict.Kind.values()) {
      codes.put(kind.name().toLowerCase(Locale.ROOT), new ArrayList<>());
    }
    return codes;
  }

  /** An id that follows from what it is the id of: a digest in the form of a random UUID. */
  private String uuid(String use, List<byte[]> assertions) {
    MessageDigest digest = sha256();
    digest.update(use.getBytes(StandardCharsets.US_ASCII));
    assertions.forEach(digest::update);
    try {
      digest.update(signer.certificates().get(0).getEncoded());
    } catch (CertificateEncodingException e) {
      throw new CredentialsException("A signer's certificate cannot be written", e);
    }
    ByteBuffer bytes = ByteBuffer.wrap(digest.digest());
    long high = bytes.getLong() & ~0xf000L | 0x4000L;
    long low = bytes.getLong() & ~(3L << 62) | 2L << 62;
    return new UUID(high, low).toString();
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Every Java has SHA-256", e);
    }
  }
}
