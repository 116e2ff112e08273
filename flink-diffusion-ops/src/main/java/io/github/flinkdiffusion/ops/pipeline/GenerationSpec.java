package io.github.flinkdiffusion.ops.pipeline;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/**
 * What somebody asks for, not yet checked against a model. Every reference but {@code id} and
 * {@code prompt} may be null, which stands for the model's own value.
 *
 * @param id the request's name, for messages
 * @param prompt what the picture shows
 * @param negativePrompt what it should not show; null is the empty text
 * @param seed of the noise; null derives it from {@code id} with {@link #seedFromId}
 * @param scheduler diffusers class name; null is the model's own scheduler
 * @param steps num_inference_steps
 * @param guidanceScale classifier-free guidance weight; at most 1 turns guidance off
 * @param width in pixels
 * @param height in pixels
 */
public record GenerationSpec(
    String id,
    String prompt,
    String negativePrompt,
    Long seed,
    String scheduler,
    Integer steps,
    Double guidanceScale,
    Integer width,
    Integer height) {

  /**
   * The seed of a request that names none: the first four bytes of SHA-256 of the id's UTF-8 text,
   * big-endian, unsigned.
   *
   * <p>It depends on the id alone, so a replayed request makes the same picture. It has 32 bits
   * because torch's CPU generator reads no more of its seed, so the number shown is the whole one.
   *
   * @return 0 .. 2^32 - 1
   */
  public static long seedFromId(String id) {
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256").digest(id.getBytes(StandardCharsets.UTF_8));
      return (hash[0] & 0xFFL) << 24
          | (hash[1] & 0xFFL) << 16
          | (hash[2] & 0xFFL) << 8
          | (hash[3] & 0xFFL);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Every Java platform has SHA-256.", e);
    }
  }
}
