package io.github.flinkdiffusion.ops.pipeline;

import java.util.List;

/**
 * What a family of Stable Diffusion networks is conditioned on beside the sample and its timestep:
 * a text, and what else the family's network wants to know. Threads and errors are those of {@link
 * Task}.
 */
interface Conditioning {

  /**
   * One request's part of a network call.
   *
   * @param rows one for each row of a call, with nothing appended to the sample
   * @param guidance makes one prediction of the rows' outputs
   * @param truncated whether a text was longer than the tokenizer's limit
   */
  record Conditions(List<Row> rows, Guidance guidance, boolean truncated) {
    public Conditions {
      rows = List.copyOf(rows);
    }

    /** The rows with channels appended to the sample, the same in each. */
    List<Row> rows(float[] appended) {
      return rows.stream().map(row -> row.with(appended)).toList();
    }
  }

  /** A signature that has the prompt and the picture's size, with the family's own parameters. */
  Signature describe(Signature signature);

  /**
   * Checks what the signature can not.
   *
   * @throws InvalidRequestException for what can not be done
   */
  void check(GenerationRequest request);

  /** The denoising network's inputs after sample and timestep. */
  Denoiser.Input[] inputs();

  /** Encodes all texts of all requests in as few calls as can be. Device thread. */
  List<Conditions> encode(List<GenerationRequest> requests);
}
