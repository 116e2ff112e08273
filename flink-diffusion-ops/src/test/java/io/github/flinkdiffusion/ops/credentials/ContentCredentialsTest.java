/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.credentials.Origin.Input;
import io.github.flinkdiffusion.ops.credentials.Verdict.State;
import io.github.flinkdiffusion.ops.credentials.Verdict.Status;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.AlgorithmParameters;
import java.security.KeyFactory;
import java.security.interfaces.ECPrivateKey;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECParameterSpec;
import java.security.spec.ECPrivateKeySpec;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Credentials that are written; {@code check_credentials.py} shows them to c2pa-python. */
class ContentCredentialsTest {
  private static final Path WEBP = Path.of("src/test/resources/fixtures/photos/lossless.webp");
  private static final char[] PASSWORD = "secret".toCharArray();

  private static TestCertificates certificates;
  private static SigningKey key;
  private static Map<String, byte[]> plain;

  @BeforeAll
  static void makeKeys() throws Exception {
    certificates = TestCertificates.ed25519();
    key = certificates.key();
    plain = CredentialFiles.plain(WEBP);
  }

  private static byte[] sign(byte[] file, Input... inputs) {
    return ContentCredentials.sign(file, CredentialFiles.origin(List.of(inputs)), key);
  }

  @ParameterizedTest
  @ValueSource(strings = {"png", "jpg", "tif", "webp"})
  void aSignedFileIsTrustedAndHasTheSamePixels(String kind) {
    byte[] signed = sign(plain.get(kind));
    Verdict verdict = new CredentialsVerifier(List.of(certificates.root())).verify(signed);

    assertThat(verdict.state()).as("%s", verdict).isEqualTo(State.TRUSTED);
    assertThat(verdict.sourceTypes()).containsExactly("trainedAlgorithmicMedia");
    assertThat(verdict.generator()).contains("Flink Diffusion test");
    assertThat(verdict.audit()).contains(CredentialFiles.AUDIT);
    assertThat(verdict.ingredients()).isEmpty();
    assertThat(new CredentialsVerifier().verify(signed).state()).isEqualTo(State.VALID);
    assertThat(new CredentialsVerifier().verify(plain.get(kind)).state()).isEqualTo(State.NONE);
    assertThat(Images.read(signed, ReadOptions.DEFAULT).data())
        .isEqualTo(Images.read(plain.get(kind), ReadOptions.DEFAULT).data());
  }

  @ParameterizedTest
  @ValueSource(strings = {"png", "jpg", "tif", "webp"})
  void theSameFileIsSignedWithTheSameBytes(String kind) throws Exception {
    assertThat(sign(plain.get(kind))).isEqualTo(sign(plain.get(kind)));
    SigningKey elliptic = TestCertificates.es256().key();
    Origin origin = CredentialFiles.origin(List.of());
    assertThat(ContentCredentials.sign(plain.get(kind), origin, elliptic))
        .isEqualTo(ContentCredentials.sign(plain.get(kind), origin, elliptic));
  }

  @ParameterizedTest
  @ValueSource(strings = {"png", "jpg", "tif", "webp"})
  void nothingThatIsSaidCanBeChangedUnnoticed(String kind) {
    byte[] signed = sign(plain.get(kind));
    Verdict original = new CredentialsVerifier().verify(signed);
    for (int at = 12; at < signed.length; at += 37) {
      byte[] changed = signed.clone();
      changed[at] ^= 0x10;
      try {
        Verdict verdict = new CredentialsVerifier().verify(changed);
        // No hash covers a checksum or a box's type: such a byte may change nothing that is said.
        assertThat(verdict.state() == State.VALID && !verdict.equals(original))
            .as("byte %d of %d", at, signed.length)
            .isFalse();
      } catch (CredentialsException e) {
        assertThat(e).hasMessageNotContaining("null");
      }
    }
  }

  @Test
  void whatWasChangedIsNamed() {
    byte[] signed = sign(plain.get("png"));

    assertThat(codes(changed(signed, "IDAT", 20))).containsExactly("assertion.dataHash.mismatch");
    assertThat(codes(changed(signed, "text-to-image", 2)))
        .containsExactly("assertion.hashedURI.mismatch");
    assertThat(codes(changed(signed, "claim_generator_info", 30)))
        .containsExactly("claimSignature.mismatch");
  }

  private static List<String> codes(byte[] file) {
    return new CredentialsVerifier(List.of(certificates.root()))
        .verify(file).failures().stream().map(Status::code).toList();
  }

  /** With one bit of a byte after this text changed. */
  private static byte[] changed(byte[] file, String text, int after) {
    int at = new String(file, StandardCharsets.ISO_8859_1).lastIndexOf(text);
    assertThat(at).as(text).isPositive();
    byte[] changed = file.clone();
    changed[at + after] ^= 1;
    return changed;
  }

  @Test
  void anInputsCredentialsAreKeptInThoseOfTheResult() {
    byte[] source = sign(plain.get("jpg"));
    byte[] result =
        sign(
            plain.get("png"),
            new Input("image", true, PriorCredentials.of(source)),
            new Input("mask", false, PriorCredentials.of(plain.get("tif"))));
    byte[] again = sign(plain.get("webp"), new Input("image", true, PriorCredentials.of(result)));

    Verdict verdict = new CredentialsVerifier(List.of(certificates.root())).verify(result);
    assertThat(verdict.state()).as("%s", verdict).isEqualTo(State.TRUSTED);
    assertThat(verdict.sourceTypes()).containsExactly("compositeWithTrainedAlgorithmicMedia");
    assertThat(verdict.ingredients())
        .containsExactly(
            new Verdict.Ingredient(
                "image", "parentOf", new CredentialsVerifier().verify(source).manifest()),
            new Verdict.Ingredient("mask", "inputTo", Optional.empty()));
    Verdict ofBoth = new CredentialsVerifier(List.of(certificates.root())).verify(again);
    assertThat(ofBoth.state()).as("%s", ofBoth).isEqualTo(State.TRUSTED);
    assertThat(ofBoth.ingredients().get(0).manifest()).isEqualTo(verdict.manifest());
  }

  @Test
  void aResultOfAChangedInputSaysSoAndIsValidItself() {
    byte[] tampered = changed(sign(plain.get("png")), "IDAT", 20);

    byte[] result = sign(plain.get("png"), new Input("image", true, PriorCredentials.of(tampered)));

    assertThat(new CredentialsVerifier().verify(result).state()).isEqualTo(State.VALID);
    assertThat(new String(result, StandardCharsets.ISO_8859_1))
        .contains("assertion.dataHash.mismatch");
  }

  @Test
  void aManifestOfAnIngredientCannotBeExchanged() {
    byte[] source = sign(plain.get("jpg"));
    byte[] result = sign(plain.get("png"), new Input("image", true, PriorCredentials.of(source)));
    // The first signature in the store is the input's.
    int at = new String(result, StandardCharsets.ISO_8859_1).indexOf("text-to-image");
    byte[] changed = result.clone();
    changed[at] ^= 1;

    assertThat(codes(changed))
        .contains("ingredient.manifest.mismatch", "assertion.hashedURI.mismatch");
  }

  @Test
  void credentialsThatCannotBeReadAreSaidToBeLost() {
    byte[] source = sign(plain.get("png"));
    byte[] broken = changed(source, "jumd", -1);

    PriorCredentials prior = PriorCredentials.of(broken);
    byte[] result = sign(plain.get("png"), new Input("image", true, prior));

    assertThat(prior.problem()).isPresent();
    assertThat(new CredentialsVerifier().verify(result).ingredients())
        .containsExactly(new Verdict.Ingredient("image", "parentOf", Optional.empty()));
    assertThat(new String(result, StandardCharsets.ISO_8859_1)).contains("were not kept");
  }

  @Test
  void aTiffFileIsSignedInPlace(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("result.tif");
    Files.write(file, plain.get("tif"));

    ContentCredentials.sign(file, CredentialFiles.origin(List.of()), key);

    assertThat(Files.readAllBytes(file)).isEqualTo(sign(plain.get("tif")));
    Path png = folder.resolve("result.png");
    Files.write(png, plain.get("png"));
    assertThatThrownBy(() -> ContentCredentials.sign(png, CredentialFiles.origin(List.of()), key))
        .isInstanceOf(CredentialsException.class)
        .hasMessageContaining("Only TIFF files");
    assertThat(Files.readAllBytes(png)).isEqualTo(plain.get("png"));
  }

  @Test
  void aLargeStoreIsSpreadOverJpegSegments() {
    String audit = "{\"prompt\":\"" + "word ".repeat(40_000) + "\"}";
    Origin origin = new Origin("Flink Diffusion", "test", audit, List.of());

    byte[] signed = ContentCredentials.sign(plain.get("jpg"), origin, key);

    Verdict verdict = new CredentialsVerifier().verify(signed);
    assertThat(verdict.state()).isEqualTo(State.VALID);
    assertThat(verdict.audit()).contains(audit);
  }

  @Test
  void whatCannotBeSignedIsRefused() {
    byte[] signed = sign(plain.get("png"));
    assertThatThrownBy(() -> sign(signed))
        .isInstanceOf(CredentialsException.class)
        .hasMessage("The file has content credentials already");
    assertThatThrownBy(() -> sign("GIF89a, and more bytes".getBytes(StandardCharsets.US_ASCII)))
        .hasMessageContaining("Only PNG, JPEG, TIFF and WebP");
  }

  @Test
  void aKeyComesFromAPkcs12File(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("key.p12");
    certificates.write(file, PASSWORD);

    SigningKey read = SigningKey.ofPkcs12(file, Optional.of("images"), PASSWORD);

    assertThat(ContentCredentials.sign(plain.get("png"), CredentialFiles.origin(List.of()), read))
        .isEqualTo(sign(plain.get("png")));
    assertThat(SigningKey.ofPkcs12(file, Optional.empty(), PASSWORD).certificates())
        .containsExactly(certificates.certificate());
    assertThatThrownBy(() -> SigningKey.ofPkcs12(file, Optional.of("other"), PASSWORD))
        .hasMessage("The file " + file + " has no key 'other': its keys are [images]");
    assertThatThrownBy(() -> SigningKey.ofPkcs12(file, Optional.empty(), "wrong".toCharArray()))
        .hasMessageContaining("Cannot read the signing key of " + file);
  }

  @Test
  void certificatesThatCannotSignAreRefused() throws Exception {
    assertThatThrownBy(() -> TestCertificates.ofAServer().key())
        .hasMessageContaining("cannot sign content credentials: its extended key usage");
    for (TestCertificates one : List.of(TestCertificates.expired(), TestCertificates.ofAServer())) {
      byte[] signed =
          ContentCredentials.sign(
              plain.get("png"), CredentialFiles.origin(List.of()), CredentialFiles.unchecked(one));
      Verdict verdict = new CredentialsVerifier(List.of(one.root())).verify(signed);
      assertThat(verdict.state()).isEqualTo(State.INVALID);
    }
  }

  /** RFC 6979, A.2.5: P-256 with SHA-256. */
  @Test
  void ellipticSignaturesAreThoseOfTheRfc() throws Exception {
    AlgorithmParameters curve = AlgorithmParameters.getInstance("EC");
    curve.init(new ECGenParameterSpec("secp256r1"));
    BigInteger secret =
        new BigInteger("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721", 16);
    ECPrivateKey privateKey =
        (ECPrivateKey)
            KeyFactory.getInstance("EC")
                .generatePrivate(
                    new ECPrivateKeySpec(secret, curve.getParameterSpec(ECParameterSpec.class)));
    DeterministicEcdsa signer = new DeterministicEcdsa(privateKey);

    assertThat(HexFormat.of().withUpperCase().formatHex(signer.sign("sample".getBytes())))
        .isEqualTo(
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
                + "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8");
    assertThat(HexFormat.of().withUpperCase().formatHex(signer.sign("test".getBytes())))
        .isEqualTo(
            "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367"
                + "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083");
  }

  @Test
  void hostileCborIsRefusedAtOnce() {
    assertThatThrownBy(() -> Cbor.decode(new byte[] {(byte) 0x9a, 0x7f, 0, 0, 0}))
        .isInstanceOf(CredentialsException.class);
    assertThatThrownBy(() -> Cbor.decode(new byte[] {0x5b, 0x7f, 0, 0, 0, 0, 0, 0, 0}))
        .isInstanceOf(CredentialsException.class);
    byte[] nested = new byte[100_000];
    Arrays.fill(nested, (byte) 0x81);
    assertThatThrownBy(() -> Cbor.decode(nested)).hasMessageContaining("nested");
    assertThatThrownBy(() -> Cbor.decode(new byte[] {(byte) 0xa2, 1, 2, 1, 2}))
        .hasMessage("The CBOR key '1' comes twice");
  }
}
