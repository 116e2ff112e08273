/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.embedded.LocalHub;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A hub that refuses, breaks off, says something else or nothing at all. */
class HubTroubleTest extends HubCase {
  @Test
  void goesOnAtTheByteWhereAConnectionEnded() {
    cutFirst(40_000);

    Path folder = hub().model(NAME, HubWants.EVERYTHING);

    assertThat(folder.resolve(WEIGHTS)).hasSameBinaryContentAs(model.resolve(WEIGHTS));
    // Of 40,000 bytes, those that the system had not handed on when the connection ended are lost.
    assertThat(ranges())
        .singleElement()
        .asString()
        .matches("bytes=\\d+-")
        .satisfies(
            range ->
                assertThat(Integer.parseInt(range.replaceAll("\\D", ""))).isBetween(1, 40_000));
  }

  @Test
  void goesOnWithWhatAnEarlierProcessLeft() {
    cutFirst(40_000);
    HubSettings impatient = settings(Optional.empty(), false, 1);

    assertThatThrownBy(() -> new Hub(impatient, (w, d, t) -> {}).model(NAME, HubWants.EVERYTHING))
        .isInstanceOfSatisfying(HubException.class, e -> assertThat(e.mayPass()).isTrue())
        .hasMessageContaining(WEIGHTS)
        .hasMessageContaining("HF_ENDPOINT");
    assertThat(ranges()).isEmpty();

    Path folder = hub().model(NAME, HubWants.EVERYTHING);
    assertThat(folder.resolve(WEIGHTS)).hasSameBinaryContentAs(model.resolve(WEIGHTS));
    assertThat(ranges()).containsExactly("bytes=40000-");
  }

  @Test
  void downloadsAnewWhatAnEarlierProcessLeftDamaged() throws IOException {
    HubFile file = listed(WEIGHTS);
    Path partial = new HubCache(cache, "owner/tiny").partial(file);
    Files.createDirectories(partial.getParent());
    Files.write(partial, new byte[500]);

    Path folder = hub().model(NAME, HubWants.EVERYTHING);

    assertThat(folder.resolve(WEIGHTS)).hasSameBinaryContentAs(model.resolve(WEIGHTS));
  }

  @Test
  void refusesContentWithAnotherDigest() throws IOException {
    server.commit("owner/tiny");
    byte[] bytes = Files.readAllBytes(model.resolve(WEIGHTS));
    bytes[bytes.length - 1] ^= 1;
    Files.write(model.resolve(WEIGHTS), bytes);

    assertThatThrownBy(() -> hub().model(NAME, HubWants.EVERYTHING))
        .isInstanceOf(HubException.class)
        .hasMessageContaining("Digest mismatch: hf://owner/tiny/" + WEIGHTS);
    assertThat(files(cache)).noneMatch(path -> path.contains(listed(WEIGHTS).blob()));
  }

  @Test
  void refusesARedirectThatNamesAnotherDigest() {
    server.faults(
        request ->
            request.path().contains("/resolve/") && request.path().endsWith(".safetensors")
                ? Optional.of(new LocalHub.Fault(200, Map.of("X-Linked-ETag", "\"abc\""), -1))
                : Optional.empty());

    assertThatThrownBy(() -> hub().model(NAME, HubWants.EVERYTHING))
        .isInstanceOf(HubException.class)
        .hasMessageContaining("with abc");
  }

  @Test
  void saysThatATokenIsMissingOrWrong() {
    server.requireToken("hf_secret");

    assertLasting(hub(), "(HTTP 401", "set HF_TOKEN");
    assertLasting(hub(Optional.of("hf_other"), false), "token in HF_TOKEN is not valid");
  }

  @ParameterizedTest
  @CsvSource({
    "403, GatedRepo, accepted its terms",
    "404, RepoNotFound, there is no such repository",
    "404, RevisionNotFound, 'no branch, tag or commit ''main'''",
    "418, '', unexpected answer"
  })
  void saysWhatIsRefused(int status, String code, String message) {
    server.faults(r -> Optional.of(new LocalHub.Fault(status, Map.of("X-Error-Code", code), -1)));

    assertLasting(hub(), message, "hf://owner/tiny");
    assertThat(server.requests()).hasSize(1);
  }

  @Test
  void saysWhichFileIsNotThere() {
    assertThatThrownBy(() -> hub().file(HubName.parse("hf://owner/tiny/no.safetensors")))
        .isInstanceOf(HubException.class)
        .hasMessageContaining("no file 'no.safetensors' at 'main'");
    assertThatThrownBy(() -> hub().model(HubName.parse("hf://owner/tiny@v9"), HubWants.EVERYTHING))
        .isInstanceOf(HubException.class)
        .hasMessageContaining("'v9'");
  }

  @Test
  void triesAgainWhenTheServerIsBusy() {
    failFirst(2, 429, Map.of("Retry-After", "0"));
    assertThat(hub().model(NAME, HubWants.EVERYTHING)).exists();
  }

  @Test
  void givesUpAfterAFewAttempts() {
    server.faults(request -> Optional.of(new LocalHub.Fault(503, Map.of(), -1)));

    assertThatThrownBy(() -> hub().model(NAME, HubWants.EVERYTHING))
        .isInstanceOfSatisfying(HubException.class, e -> assertThat(e.mayPass()).isTrue())
        .hasMessageContaining("HTTP 503")
        .hasMessageContaining("Tried 4 times");
    assertThat(server.requests()).hasSize(4);
  }

  @Test
  void doesNotWaitForHours() {
    failFirst(1, 429, Map.of("Retry-After", "7200"));

    assertThatThrownBy(() -> hub().model(NAME, HubWants.EVERYTHING))
        .isInstanceOf(HubException.class)
        .hasMessageContaining("asks to wait 7200 s");
  }

  @Test
  void aServerThatFallsSilentIsNotWaitedForForEver() throws Exception {
    try (ServerSocket socket = new ServerSocket(0, 5, InetAddress.getLoopbackAddress())) {
      List<Socket> open = new ArrayList<>();
      Thread answers =
          new Thread(
              () -> {
                try {
                  while (true) {
                    Socket one = socket.accept();
                    open.add(one);
                    one.getOutputStream()
                        .write(
                            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
                                .getBytes(StandardCharsets.US_ASCII));
                  }
                } catch (IOException e) {
                  // The test is over.
                }
              });
      answers.start();
      HubSettings settings =
          new HubSettings(
              URI.create("http://127.0.0.1:" + socket.getLocalPort()),
              cache,
              Optional.empty(),
              false,
              2,
              Duration.ofMillis(1),
              Duration.ofMillis(200));

      assertThatThrownBy(() -> new Hub(settings, (w, d, t) -> {}).model(NAME, HubWants.EVERYTHING))
          .isInstanceOfSatisfying(HubException.class, e -> assertThat(e.mayPass()).isTrue());
      socket.close();
      answers.join();
      for (Socket one : open) {
        one.close();
      }
    }
  }

  @Test
  void takesTheLastKnownCommitWhenTheHubIsDown() {
    Path folder = hub().model(NAME, HubWants.EVERYTHING);
    Hub hub = hub();
    server.close();

    assertThat(hub.model(NAME, HubWants.EVERYTHING)).isEqualTo(folder);
  }

  @Test
  void asksTwiceForABranchThatIsKnown() {
    Path folder = hub().model(NAME, HubWants.EVERYTHING);
    server.faults(request -> Optional.of(new LocalHub.Fault(503, Map.of(), -1)));
    int before = server.requests().size();

    assertThat(hub().model(NAME, HubWants.EVERYTHING)).isEqualTo(folder);
    assertThat(server.requests()).hasSize(before + 2);
  }

  @Test
  void saysThatTheDiskIsTooSmall() throws IOException {
    hub().model(NAME, HubWants.CONFIGS);
    String commit = server.commit("owner/tiny");
    Path tree = cache.resolve("models--owner--tiny/trees/" + commit + ".json");
    long size = Files.size(model.resolve(WEIGHTS));
    Files.writeString(tree, Files.readString(tree).replace("" + size, "" + (1L << 60)));

    assertThatThrownBy(() -> hub().model(NAME, HubWants.EVERYTHING))
        .isInstanceOf(HubException.class)
        .hasMessageContaining("MiB are free")
        .hasMessageContaining("HF_HOME");
  }

  @Test
  void refusesAListThatLeadsOutOfItsFolder() {
    assertThatThrownBy(
            () -> new HubFile("../x.json", 1, "0".repeat(40), Optional.empty(), Optional.empty()))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(
            () -> new HubFile("x.json", 1, "../../x", Optional.empty(), Optional.empty()))
        .isInstanceOf(IllegalArgumentException.class);
  }

  private void assertLasting(Hub hub, String... parts) {
    assertThatThrownBy(() -> hub.model(NAME, HubWants.EVERYTHING))
        .isInstanceOfSatisfying(HubException.class, e -> assertThat(e.mayPass()).isFalse())
        .message()
        .contains(parts);
  }

  private void cutFirst(long bytes) {
    boolean[] done = {false};
    server.faults(
        request -> {
          if (!done[0] && request.path().matches("/[0-9a-f]{64}")) {
            done[0] = true;
            return Optional.of(new LocalHub.Fault(200, Map.of(), bytes));
          }
          return Optional.empty();
        });
  }

  private void failFirst(int many, int status, Map<String, String> headers) {
    int[] left = {many};
    server.faults(
        request ->
            left[0]-- > 0
                ? Optional.of(new LocalHub.Fault(status, headers, -1))
                : Optional.empty());
  }

  /** As the second server was asked for them; the first one is asked for the same. */
  private List<String> ranges() {
    return server.requests().stream()
        .filter(request -> request.path().matches("/[0-9a-f]{64}"))
        .flatMap(request -> request.range().stream())
        .toList();
  }

  private HubFile listed(String path) {
    return new HubClient(settings(Optional.empty(), false, 1))
        .tree(NAME, server.commit("owner/tiny")).stream()
            .filter(file -> file.path().equals(path))
            .findFirst()
            .orElseThrow();
  }
}
