/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import java.io.Serializable;
import java.net.URI;
import java.net.URISyntaxException;
import java.time.Duration;
import org.apache.flink.annotation.Internal;

/**
 * Where a schema registry is and how it is asked.
 *
 * @param url http or https; of Confluent's API with that framing, else of Apicurio's core API,
 *     which ends in {@code /apis/registry/v2} or {@code v3}
 * @param framing how records name schemas, and with that which of the APIs the registry is asked by
 * @param register whether a schema that the registry does not have is registered
 * @param timeout of one attempt
 * @param user for basic authentication, or null
 * @param password like {@code user}
 */
@Internal
public record RegistrySettings(
    String url, Framing framing, boolean register, Duration timeout, String user, String password)
    implements Serializable {

  /**
   * @throws IllegalArgumentException when the URL is none, or a password has no user
   */
  public RegistrySettings {
    try {
      URI uri = new URI(url);
      if (uri.getHost() == null
          || !("http".equals(uri.getScheme()) || "https".equals(uri.getScheme()))) {
        throw new IllegalArgumentException(
            "'%s' is not the URL of a registry; expected one such as http://registry:8081"
                .formatted(url));
      }
      if (uri.getUserInfo() != null) {
        throw new IllegalArgumentException(
            "The URL of the registry contains a password, which would be logged; set"
                + " diffusion.kafka.registry.user and diffusion.kafka.registry.password instead");
      }
    } catch (URISyntaxException e) {
      throw new IllegalArgumentException(
          "'%s' is not the URL of a registry; expected one such as http://registry:8081"
              .formatted(url),
          e);
    }
    if ((user == null) != (password == null)) {
      throw new IllegalArgumentException("set both user and password, or neither");
    }
    url = url.endsWith("/") ? url.substring(0, url.length() - 1) : url;
  }

  /** Without the password. */
  @Override
  public String toString() {
    return "RegistrySettings[" + url + ", " + framing + "]";
  }
}
