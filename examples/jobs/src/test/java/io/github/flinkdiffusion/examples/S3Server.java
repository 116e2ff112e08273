/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.util.List;

/** A server of S3's protocol on this machine, with a bucket named {@code bucket}. */
interface S3Server extends AutoCloseable {
  /** Where it listens, as {@code http://127.0.0.1:PORT}. */
  String endpoint();

  /** The objects' names, as {@code bucket/key}. */
  List<String> names();

  /** How often an object below that name was written, read or deleted. */
  int calls(String method, String prefix);

  void put(String name, byte[] content);

  byte[] get(String name);

  @Override
  void close();
}
