package dev.runwire.client;

import dev.runwire.v1.Rejection;
import java.io.IOException;
import java.util.List;

/** What keeps the frames of a writer until they are acknowledged. */
interface Frames extends Writer.Memory {
  /** Returns a frame to send; null if it was not cut yet. */
  Stored take(long sequence) throws IOException;

  /** Notes what is acknowledged, and forgets it. */
  void acknowledge(Mark mark) throws IOException;

  /** Keeps rejections until a person was told of them. */
  void note(List<Rejection> rejections) throws IOException;

  /** Notes that the frames can not go on as their writer. */
  void setAside(String reason, String message, long delivered) throws IOException;

  /** How many frames are held that the server does not have, as far as is known. */
  long undelivered();

  /** Where they lie, for people. */
  String place();
}
