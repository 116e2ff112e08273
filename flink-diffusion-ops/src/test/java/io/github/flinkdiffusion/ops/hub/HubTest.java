/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.embedded.LocalHub;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;

/** What comes of the hub, and what stands in the cache then. */
class HubTest extends HubCase {
  @Test
  void downloadsWhatAPipelineReadsAndNothingElse() {
    Path folder = hub().model(NAME, HubWants.EVERYTHING);

    assertThat(files(folder))
        .containsExactlyInAnyOrder(
            "model_index.json", "scheduler/scheduler_config.json", "unet/config.json", WEIGHTS);
    ModelFolder opened = ModelFolder.open(folder);
    assertThat(opened.digest()).isEqualTo(ModelFolder.open(model).digest());
    assertThat(opened.name()).isEqualTo("tiny");
  }

  @Test
  void standsInTheCacheAsPythonHasIt() throws IOException {
    Path folder = hub().model(NAME, HubWants.EVERYTHING);

    String commit = server.commit("owner/tiny");
    Path repository = cache.resolve("models--owner--tiny");
    assertThat(folder).isEqualTo(repository.resolve("snapshots").resolve(commit));
    assertThat(repository.resolve("refs/main")).hasContent(commit);
    Path link = Files.readSymbolicLink(folder.resolve(WEIGHTS));
    assertThat(link.toString()).matches("\\.\\./\\.\\./\\.\\./blobs/[0-9a-f]{64}");
    assertThat(Files.readSymbolicLink(folder.resolve("model_index.json")).toString())
        .matches("\\.\\./\\.\\./blobs/[0-9a-f]{40}");
    assertThat(files(repository.resolve("blobs"))).noneMatch(file -> file.contains("incomplete"));
  }

  @Test
  void doesNotDownloadWhatIsThere() {
    Path folder = hub().model(NAME, HubWants.EVERYTHING);
    int before = server.requests().size();

    assertThat(hub().model(NAME, HubWants.EVERYTHING)).isEqualTo(folder);
    assertThat(server.requests().subList(before, server.requests().size()))
        .extracting(LocalHub.Request::path)
        .containsExactly("/api/models/owner/tiny/revision/main");

    HubName commit = HubName.parse("hf://owner/tiny@" + server.commit("owner/tiny"));
    int again = server.requests().size();
    assertThat(hub().model(commit, HubWants.EVERYTHING)).isEqualTo(folder);
    assertThat(server.requests()).hasSize(again);
  }

  @Test
  void bringsConfigsAlone() {
    assertThat(files(hub().model(NAME, HubWants.CONFIGS)))
        .containsExactlyInAnyOrder(
            "model_index.json", "scheduler/scheduler_config.json", "unet/config.json");
  }

  @Test
  void bringsConfigsAloneOfANetworkWhoseWeightsComeFromElsewhere() {
    HubWants wants = HubWants.EVERYTHING.withConfigsAlone(Set.of("unet"));
    assertThat(files(hub().model(NAME, wants)))
        .containsExactlyInAnyOrder(
            "model_index.json", "scheduler/scheduler_config.json", "unet/config.json");
  }

  @Test
  void bringsShardsThatAnIndexNames() throws IOException {
    Files.move(model.resolve(WEIGHTS), model.resolve("unet/one.safetensors"));
    Files.writeString(model.resolve("unet/two.safetensors"), "not named");
    Files.writeString(
        model.resolve("unet/diffusion_pytorch_model.safetensors.index.json"),
        "{\"weight_map\": {\"x\": \"one.safetensors\"}}");

    assertThat(files(hub().model(NAME, HubWants.EVERYTHING)))
        .contains("unet/one.safetensors", "unet/diffusion_pytorch_model.safetensors.index.json")
        .doesNotContain("unet/two.safetensors");
  }

  @Test
  void bringsOneFile() {
    Path file = hub().file(HubName.parse("hf://owner/tiny@refs/pr/1/" + WEIGHTS));

    assertThat(file).hasSameBinaryContentAs(model.resolve(WEIGHTS));
    assertThat(file.toString()).endsWith(WEIGHTS);
    assertThatThrownBy(
            () -> hub().file(HubName.parse("hf://owner/tiny/unet/diffusion_pytorch_model.bin")))
        .isInstanceOf(HubException.class)
        .hasMessageContaining(".safetensors");
  }

  @Test
  void readsListsOfSeveralPages() throws IOException {
    Files.createDirectory(model.resolve("a"));
    for (int i = 0; i < 120; i++) {
      Files.writeString(model.resolve("a/" + i), "x");
    }

    assertThat(files(hub().model(NAME, HubWants.EVERYTHING))).hasSize(4);
    assertThat(server.requests()).filteredOn(r -> r.path().contains("/tree/")).hasSize(3);
  }

  @Test
  void sendsTheTokenToTheEndpointAlone() {
    server.requireToken("hf_secret");

    hub(Optional.of("hf_secret"), false).model(NAME, HubWants.EVERYTHING);

    assertThat(server.requests())
        .allSatisfy(
            request ->
                assertThat(request.token().isPresent())
                    .isEqualTo(!request.path().matches("/[0-9a-f]{64}")));
    assertThat(server.requests()).anyMatch(request -> request.token().isEmpty());
  }

  @Test
  void needsNoNetworkForWhatIsInTheCache() {
    assertThatThrownBy(() -> hub(Optional.empty(), true).model(NAME, HubWants.EVERYTHING))
        .isInstanceOf(HubException.class)
        .hasMessageContaining("HF_HUB_OFFLINE");
    hub().model(NAME, HubWants.CONFIGS);
    assertThatThrownBy(() -> hub(Optional.empty(), true).model(NAME, HubWants.EVERYTHING))
        .isInstanceOf(HubException.class)
        .hasMessageContaining(WEIGHTS)
        .hasMessageContaining("HF_HUB_OFFLINE");
    Path folder = hub().model(NAME, HubWants.EVERYTHING);
    int before = server.requests().size();

    assertThat(hub(Optional.empty(), true).model(NAME, HubWants.EVERYTHING)).isEqualTo(folder);
    assertThat(server.requests()).hasSize(before);
  }

  @Test
  void severalThreadsDownloadOnce() throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(4);
    try {
      List<Callable<Path>> calls = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        calls.add(() -> hub().model(NAME, HubWants.EVERYTHING));
      }
      Set<Path> folders = new HashSet<>();
      for (Future<Path> call : threads.invokeAll(calls)) {
        folders.add(call.get());
      }
      assertThat(folders).hasSize(1);
    } finally {
      threads.shutdownNow();
    }
    assertThat(server.requests())
        .filteredOn(request -> request.path().contains("/resolve/"))
        .extracting(LocalHub.Request::path)
        .doesNotHaveDuplicates()
        .hasSize(4);
  }

  @Test
  void refusesAModelOfAnotherLayout() throws IOException {
    Files.delete(model.resolve("model_index.json"));

    assertThatThrownBy(() -> hub().model(NAME, HubWants.EVERYTHING))
        .isInstanceOf(HubException.class)
        .hasMessageContaining("no model_index.json")
        .hasMessageContaining("hf://owner/tiny/golden/run.safetensors");
  }

  @Test
  void refusesAVariantThatThereIsNot() {
    assertThatThrownBy(() -> hub().model(NAME, new HubWants(Optional.of("fp16"), true, Set.of())))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("'fp16'");
  }
}
