/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.UnknownHostException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.BlobServerOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.JobManagerOptions;
import org.apache.flink.configuration.NettyShuffleEnvironmentOptions;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.util.NetUtils;

/** Ports that Flink listens at, unless Flink does so already, and the JobManager's name. */
final class PortCheck implements Check {
  private static final Duration PATIENCE = Duration.ofSeconds(3);

  @Override
  public String name() {
    return "ports";
  }

  @Override
  public List<Finding> examine(Setup setup) throws InterruptedException {
    List<Finding> findings = new ArrayList<>();
    Configuration config = setup.config();
    config.getOptional(JobManagerOptions.ADDRESS).ifPresent(host -> address(host, findings));
    Map<String, String> taken = new LinkedHashMap<>();
    ports(config)
        .forEach(
            (option, ports) -> {
              if (!anyFree(option, ports, findings)) {
                taken.put(option, ports);
              }
            });
    if (taken.isEmpty()) {
      if (findings.isEmpty()) {
        findings.add(Finding.ok(name(), "free: " + ports(config)));
      }
    } else if (flinkAnswers(config)) {
      findings.add(Finding.ok(name(), "a Flink cluster runs and listens at " + taken));
    } else {
      taken.forEach(
          (option, port) ->
              findings.add(
                  Finding.error(
                      name(),
                      "Another process listens at port %s (%s) of this machine."
                          .formatted(port, option),
                      "End that process, or set %s to a free port or a range of ports."
                          .formatted(option))));
    }
    return findings;
  }

  private static Map<String, String> ports(Configuration config) {
    Map<String, String> ports = new LinkedHashMap<>();
    // Without a bind-port, Flink takes the port.
    String bind = RestOptions.BIND_PORT.key();
    ports.put(
        config.toMap().containsKey(bind) ? bind : RestOptions.PORT.key(),
        config
            .getOptional(RestOptions.BIND_PORT)
            .orElseGet(() -> Integer.toString(config.get(RestOptions.PORT))));
    config
        .getOptional(JobManagerOptions.PORT)
        .ifPresent(port -> ports.put(JobManagerOptions.PORT.key(), Integer.toString(port)));
    config
        .getOptional(TaskManagerOptions.RPC_PORT)
        .ifPresent(port -> ports.put(TaskManagerOptions.RPC_PORT.key(), port));
    config
        .getOptional(NettyShuffleEnvironmentOptions.DATA_PORT)
        .ifPresent(
            port ->
                ports.put(NettyShuffleEnvironmentOptions.DATA_PORT.key(), Integer.toString(port)));
    config
        .getOptional(BlobServerOptions.PORT)
        .ifPresent(port -> ports.put(BlobServerOptions.PORT.key(), port));
    config.toMap().entrySet().stream()
        .filter(entry -> entry.getKey().matches("metrics\\.reporter\\.[^.]+\\.port"))
        .forEach(entry -> ports.put(entry.getKey(), entry.getValue()));
    return ports;
  }

  private boolean anyFree(String option, String text, List<Finding> findings) {
    Iterator<Integer> ports;
    try {
      ports = NetUtils.getPortRangeFromString(text);
    } catch (RuntimeException e) {
      findings.add(
          Finding.error(
              name(),
              "%s is '%s', which is no port.".formatted(option, text),
              "Set it to a port such as 8081, or to a range such as 50100-50200."));
      return true;
    }
    while (ports.hasNext()) {
      try (ServerSocket socket = new ServerSocket(ports.next())) {
        return socket.isBound();
      } catch (IOException e) {
        continue; // the next one of the range
      }
    }
    return false;
  }

  private void address(String host, List<Finding> findings) {
    try {
      InetAddress.getByName(host);
    } catch (UnknownHostException e) {
      findings.add(
          Finding.error(
              name(),
              "This machine does not know the host '%s' (%s)."
                  .formatted(host, JobManagerOptions.ADDRESS.key()),
              "Correct the name, or make it known by DNS on every machine."));
    }
  }

  private static boolean flinkAnswers(Configuration config) throws InterruptedException {
    String host = config.getOptional(RestOptions.ADDRESS).orElse("localhost");
    int port = config.get(RestOptions.PORT);
    HttpClient client = HttpClient.newBuilder().connectTimeout(PATIENCE).build();
    try {
      HttpRequest request =
          HttpRequest.newBuilder(URI.create("http://%s:%d/config".formatted(host, port)))
              .timeout(PATIENCE)
              .build();
      return client
          .send(request, HttpResponse.BodyHandlers.ofString())
          .body()
          .contains("flink-version");
    } catch (IOException | IllegalArgumentException e) {
      return false;
    }
  }
}
